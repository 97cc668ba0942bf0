"""The local executor: warm worker processes on this machine, each kept busy by one thread of the scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.registry import ROOT
from harness.spec import Spec
from runners.attempt import Attempt, attempts, close_without_worker

LOST_RETRIES = 1
"""How often a run whose worker died is started again by itself."""

Observer = Callable[[Spec | None, Mapping[str, Any]], None]
"""Told each event and the run it is of, or none for the whole matrix (Any: events are JSON)."""


@dataclass(frozen=True)
class Options:
    """What every worker of one scheduler is started with."""

    out: Path
    suite: str | None = None
    mirror: Path | None = None
    device: str = "cpu"
    workers: int = 1
    keep: str = "final"
    max_minutes: float | None = None


@dataclass
class LocalExecutor:
    """Runs specs on worker processes; ``drain`` and ``stop`` may be called from a signal handler."""

    options: Options
    observe: Observer
    _queue: deque[tuple[Spec, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Protects the queue and the set of live processes."""
    _live: set[subprocess.Popen[str]] = field(default_factory=set)
    _draining: bool = False
    _stopped: bool = False

    def run(self, specs: Sequence[Spec]) -> None:
        """Run every spec once; returns when the last one ended, or after a drain."""
        self._queue.extend((spec, 0) for spec in specs)
        threads = [threading.Thread(target=self._serve) for _ in range(min(self.options.workers, len(specs)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a join without a time limit would hold signals back

    def drain(self) -> None:
        """Start nothing more; what runs is finished."""
        self._draining = True

    def stop(self) -> None:
        """Start nothing more and kill what runs; its attempts are closed as cancelled."""
        self._draining = self._stopped = True
        for process in list(self._live):
            process.kill()

    def _next(self, threads: int | None) -> tuple[Spec, int] | None:
        """Return the next spec, one with a worker's own number of threads first, so that it can stay warm."""
        with self._lock:
            if self._draining or not self._queue:
                return None
            index = next((i for i, (spec, _) in enumerate(self._queue) if spec.threads == threads), 0)
            chosen = self._queue[index]
            del self._queue[index]
            return chosen

    def _serve(self) -> None:
        worker: _Worker | None = None
        while (job := self._next(worker.threads if worker else None)) is not None:
            spec, tries = job
            if worker is None or worker.threads != spec.threads or not worker.usable:
                if worker is not None:
                    self._retire(worker)
                worker = _Worker(self.options, spec.threads)
                with self._lock:
                    self._live.add(worker.process)
                    if self._stopped:
                        worker.process.kill()
            self._one(worker, spec, tries)
        if worker is not None:
            self._retire(worker)

    def _one(self, worker: _Worker, spec: Spec, tries: int) -> None:
        deadline = _Deadline(worker.process, self.options.max_minutes)
        ended = worker.execute(spec, lambda event: self.observe(spec, event))
        timed_out = deadline.passed()
        if ended:
            return
        worker.usable = False
        code = worker.process.wait()
        attempt = self._open_attempt(spec, worker.process.pid)
        if attempt is None:  # it died before it opened one
            self.observe(spec, {"type": "ended", "status": "lost", "folder": None, "message": worker.last_words()})
        else:
            self._close(attempt, spec, code, timed_out)
        if not (timed_out or self._stopped) and tries < LOST_RETRIES:
            with self._lock:
                self._queue.append((spec, tries + 1))

    def _close(self, attempt: Attempt, spec: Spec, code: int, timed_out: bool) -> None:
        if self._stopped:
            reason = ("cancelled", "interrupted", "stopped by a second interrupt")
        elif timed_out:
            reason = ("timed_out", "TimedOut", f"ran longer than max_minutes ({self.options.max_minutes:g})")
        else:
            reason = ("lost", "WorkerDied", f"the worker process ended with code {code} while this attempt ran")
        record = close_without_worker(attempt, *reason)  # type: ignore[arg-type]  # the statuses above are statuses
        status = record.status if record else "ok"
        self.observe(spec, {"type": "ended", "status": status, "folder": str(attempt.folder), "message": reason[2]})

    def _open_attempt(self, spec: Spec, pid: int) -> Attempt | None:
        for attempt in reversed(attempts(self.options.out, spec.run_id)):
            started = attempt.folder / "started.json"
            if started.is_file() and json.loads(started.read_text(encoding="utf-8"))["owner"]["pid"] == pid:
                return attempt
        return None

    def _retire(self, worker: _Worker) -> None:
        worker.close()
        with self._lock:
            self._live.discard(worker.process)


class _Worker:
    """One warm process and the pipes to it."""

    def __init__(self, options: Options, threads: int) -> None:
        self.threads = threads
        self.usable = True
        command = [sys.executable, "-m", "runners.worker", "--out", str(options.out), "--device", options.device]
        command += ["--threads", str(threads), "--keep", options.keep]
        command += ["--suite", options.suite] if options.suite else []
        command += ["--mirror", str(options.mirror)] if options.mirror else []
        # The working directory must not come first: a folder of the user's named tasks would shadow ours.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), "PYTHONSAFEPATH": "1"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,  # the terminal's Ctrl-C is for the scheduler, which drains
        )
        self._errors: deque[str] = deque(maxlen=20)
        threading.Thread(target=self._collect, daemon=True).start()

    def execute(self, spec: Spec, observe: Callable[[Mapping[str, Any]], None]) -> bool:
        """Send one spec and pass its events on; return whether it ended, as opposed to the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(spec.model_dump_json() + "\n")
            self.process.stdin.flush()
        except OSError:
            return False
        for line in self.process.stdout:
            event = json.loads(line)
            if event["type"] == "ended":
                self.usable = event["healthy"]
                observe(event)
                return True
            if event["type"] != "ready":
                observe(event)
        return False

    def last_words(self) -> str:
        """Return the end of what the process wrote to standard error."""
        return " | ".join(self._errors) or "it wrote nothing"

    def close(self) -> None:
        """End the process; it stops when its standard input closes."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it may be gone already
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self._errors.extend(line.rstrip() for line in stream)


class _Deadline:
    """Kills a process that runs over its time."""

    def __init__(self, process: subprocess.Popen[str], minutes: float | None) -> None:
        self._passed = False
        self._timer = threading.Timer(minutes * 60, self._kill, [process]) if minutes else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def passed(self) -> bool:
        """End the watch and return whether it killed the process."""
        if self._timer:
            self._timer.cancel()
        return self._passed

    def _kill(self, process: subprocess.Popen[str]) -> None:
        self._passed = True
        process.kill()


def default_workers(threads: int) -> int:
    """Return how many workers this machine's cores serve."""
    return max(1, (os.cpu_count() or 1) // threads)
