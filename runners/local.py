"""The local executor: warm worker processes on this machine, each kept busy by one thread of the scheduler."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from harness.record import Status, UnreadableRecord
from harness.spec import Spec
from runners.attempt import Attempt, attempts, close_without_worker, open_attempt, read_started
from runners.process import Deadline, Options, WorkerProcess

LOST_RETRIES = 1
"""How often a run whose worker died is started again by itself."""

Observer = Callable[[Spec | None, Mapping[str, Any]], None]
"""Told each event and the run it is of, or none for the whole matrix (Any: events are JSON)."""


@dataclass
class LocalExecutor:
    """Runs specs on worker processes; ``drain`` and ``stop`` may be called from a signal handler."""

    options: Options
    observe: Observer
    bill: Callable[[Spec], dict[str, JsonValue] | None] = lambda spec: None
    """What a run's record says of the search that chose its values."""
    _queue: deque[tuple[Spec, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Protects the queue and the set of live processes."""
    _live: set[WorkerProcess] = field(default_factory=set)
    _draining: bool = False
    _stopped: bool = False
    _problems: list[BaseException] = field(default_factory=list)

    def run(self, specs: Sequence[Spec]) -> None:
        """Run every spec once; returns when the last one ended, or after a drain.

        Raises:
            Exception: what the observer raised, or what kept an attempt from being closed (a full disk). Nothing more
                was started then, and other workers finished what they ran.
        """
        self._queue.extend((spec, 0) for spec in specs)
        threads = [threading.Thread(target=self._serve) for _ in range(min(self.options.workers, len(specs)))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # a join without a time limit would hold signals back
        except BaseException:
            self.stop()
            raise
        if self._problems:
            raise self._problems[0]

    def drain(self) -> None:
        """Start nothing more; what runs is finished."""
        self._draining = True

    def stop(self) -> None:
        """Start nothing more and kill what runs; its attempts are closed as cancelled."""
        self._draining = self._stopped = True
        for worker in list(self._live):
            worker.kill()

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
        worker: WorkerProcess | None = None
        try:
            while (job := self._next(worker.threads if worker else None)) is not None:
                spec, tries = job
                if worker is None or worker.threads != spec.threads or not worker.usable:
                    if worker is not None:
                        self._retire(worker)
                    worker = None  # starting the next may fail
                    worker = self._start(spec.threads)
                self._one(worker, spec, tries)
        except BaseException as problem:  # a thread has nobody to raise it to; ``run`` does
            self._problems.append(problem)
            self.drain()
        finally:
            if worker is not None:
                self._retire(worker)

    def _start(self, threads: int) -> WorkerProcess:
        worker = WorkerProcess(self.options, threads)
        with self._lock:
            self._live.add(worker)
        if self._stopped:
            worker.kill()
        return worker

    def _retire(self, worker: WorkerProcess) -> None:
        worker.close()
        with self._lock:
            self._live.discard(worker)

    def _one(self, worker: WorkerProcess, spec: Spec, tries: int) -> None:
        before = {attempt.number for attempt in attempts(self.options.out, spec.run_id)}
        deadline = Deadline(worker, self.options.max_minutes)

        def observe(event: Mapping[str, Any]) -> None:
            if event["type"] == "started":
                deadline.start()
            self.observe(spec, event)

        ended = worker.execute(spec, observe, self.bill(spec))
        timed_out = deadline.passed()
        if ended:
            return
        code = worker.wait()
        attempt = self._opened(spec, worker.pid, before)
        if attempt is None and self._stopped:
            return
        status, kind, message = self._verdict(code, timed_out)
        if attempt is None:
            attempt = open_attempt(self.options.out, spec, self.options.suite)
            message = f"the worker process ended with code {code} before this attempt began: {worker.last_words()}"
        record = close_without_worker(attempt, status, kind, message)
        again = record.status == "lost" and tries < LOST_RETRIES and not self._draining
        if again:
            with self._lock:
                self._queue.append((spec, tries + 1))
        why = record.error.message if record.error else None
        event = {"type": "ended", "status": record.status, "folder": str(attempt.folder), "message": why}
        self.observe(spec, event | {"again": again})

    def _verdict(self, code: int, timed_out: bool) -> tuple[Status, str, str]:
        if self._stopped:
            return "cancelled", "interrupted", "stopped by a second interrupt"
        if timed_out:
            return "timed_out", "TimedOut", f"ran longer than max_minutes ({self.options.max_minutes:g})"
        return "lost", "WorkerDied", f"the worker process ended with code {code} while this attempt ran"

    def _opened(self, spec: Spec, pid: int, before: set[int]) -> Attempt | None:
        """Return the attempt that a dead worker opened after ``before`` was taken; process ids come back in time."""
        for attempt in attempts(self.options.out, spec.run_id):
            try:
                if attempt.number not in before and read_started(attempt).owner.pid == pid:
                    return attempt
            except UnreadableRecord:  # it died before that file was whole
                continue
        return None


def default_workers(threads: int) -> int:
    """Return how many workers the cores that this process may use serve."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)
