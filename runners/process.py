"""A worker process as its scheduler sees it: the pipes, the end of it and of what it started, and its time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import MissingPrerequisite
from harness.registry import ROOT
from harness.suite import Resources
from runners.queue import Job

START_MINUTES = 15.0
"""How long a worker may take until its job has begun, libraries and all; one that hangs before is no run's fault."""
GRACE = 10.0
"""Seconds that a worker whose pipes are closed has to end."""


@dataclass(frozen=True)
class Options:
    """What every worker of one scheduler is started with."""

    out: Path
    suite: str | None = None
    mirror: Path | None = None
    device: str = "cpu"
    threads: int = 1
    """What the suite's runs use; each worker is told by its runs."""
    workers: int | None = 1
    """How many; null for as many as the executor finds room for."""
    keep: str = "final"
    max_minutes: float | None = None
    checkpoint_minutes: float | None = None
    runs_per_device: int = 1
    """How many workers share a device at a time."""
    executor: str = "local"
    address: str | None = None
    """Of the cluster, in the executor's own words."""
    resources: Resources = Resources()
    """What a worker of a cluster is given."""
    program: str = "runners.worker"
    """The module that serves jobs."""


def devices(options: Options) -> float:
    """Return the devices of a worker on a cluster as far as they are stated: its own, else one for each rank.

    Returns:
        Their number, a part of one where workers share it; 0 where a worker has one rank and nothing is stated.

    Raises:
        MissingPrerequisite: for fewer devices than ranks, each of which trains on one of its own.
    """
    stated, ranks = options.resources.gpus, options.resources.ranks
    if ranks > 1 and (options.runs_per_device > 1 or 0 < stated < ranks):
        raise MissingPrerequisite(
            f"resources.ranks is {ranks}, and each rank trains on a device of its own; {stated or ranks:g} devices, "
            f"shared by {options.runs_per_device}, came: set resources.gpus to {ranks} or leave it out, and leave "
            f"--runs-per-device out"
        )
    return stated or (ranks if ranks > 1 else 0)


class WorkerProcess:
    """One warm process in a session of its own, so that the terminal's Ctrl-C is for the scheduler, which drains."""

    def __init__(self, options: Options, threads: int, variables: Mapping[str, str] | None = None) -> None:
        self.threads = threads
        self._healthy = True
        command = [sys.executable, "-m", options.program, "--out", str(options.out), "--device", options.device]
        command += ["--threads", str(threads), "--keep", options.keep]
        command += ["--suite", options.suite] if options.suite else []
        command += ["--runs-per-device", str(options.runs_per_device)] if options.runs_per_device > 1 else []
        command += ["--ranks", str(options.resources.ranks)] if options.resources.ranks > 1 else []
        command += ["--sharded"] if options.resources.sharded else []
        command += ["--mirror", str(options.mirror)] if options.mirror else []
        minutes = options.checkpoint_minutes
        command += ["--checkpoint-minutes", str(minutes)] if minutes else []
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment() | dict(variables or {}),
            start_new_session=True,
        )
        self._errors: deque[str] = deque(maxlen=20)
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()
        threading.Thread(target=self._bury, daemon=True).start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Return whether another job may be sent."""
        return self._healthy and self._process.poll() is None

    def execute(self, job: Job, observe: Callable[[Mapping[str, Any]], None]) -> bool:  # Any: events are JSON
        """Send one job and pass its events on; return whether it ended, as opposed to the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(job.line() + "\n")
            self._process.stdin.flush()
        except OSError:
            return False
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # it died while it wrote
                return False
            if event["type"] == "ended":
                self._healthy = event["healthy"]
                observe(event)
                return True
            if event["type"] != "ready":
                observe(event)
        return False

    def kill(self) -> None:
        """End the process and whatever it started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Return the exit code of a process that closed its pipes; one that stays all the same is killed."""
        try:
            return self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """Return the end of what a dead process wrote to standard error."""
        self._collector.join(GRACE)
        return " | ".join(self._errors) or "it wrote nothing"

    def close(self) -> None:
        """End the process, which stops when its standard input closes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it may be gone already
            self._process.stdin.close()
        self.wait()
        self._process.stdout.close()

    def _collect(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            self._errors.extend(line.rstrip() for line in stream)

    def _bury(self) -> None:
        """Kill what a dead worker left behind: it may hold the pipes open, and the scheduler would wait for ever."""
        self._process.wait()
        self.kill()


class Deadline:
    """Kills a worker whose attempt runs over its time."""

    def __init__(self, worker: WorkerProcess, minutes: float | None) -> None:
        self._worker = worker
        self._passed = False
        self._timer = threading.Timer(minutes * 60, self._kill) if minutes else None

    def start(self) -> None:
        """Begin to count, once the attempt has begun: the start of a process is not the run's time."""
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def passed(self) -> bool:
        """End the watch and return whether it killed the worker."""
        if self._timer:
            self._timer.cancel()
        return self._passed

    def _kill(self) -> None:
        self._passed = True
        self._worker.kill()


def _environment() -> dict[str, str]:
    """Return the variables of a worker, which finds modules where this process does, and our own packages first."""
    places = [str(ROOT), *(place or os.getcwd() for place in sys.path)]
    # Without the second, Python puts the working directory first: a folder of the user's named tasks would shadow ours.
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places)), "PYTHONSAFEPATH": "1"}
