"""A seat: the place of one worker process on whatever machine it runs; executors differ in where their seats are."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runners.killed import memory_kills
from runners.process import START_MINUTES, Deadline, Options, WorkerProcess
from runners.queue import Job

Observe = Callable[[Mapping[str, Any]], None]
"""Told each event of one job (Any: events are JSON)."""


@dataclass(frozen=True)
class Death:
    """How a worker ended before its job did."""

    how: str
    """Completes "the worker process ..."."""
    timed_out: bool = False
    last_words: str = ""
    """The end of what it wrote to standard error."""
    out_of_memory: bool = False
    """Whether the kernel killed it as the machine's memory ran out."""
    seat_lost: bool = False
    """Whether its seat went with it, as when a machine dies; else the seat takes the next job."""


class Seat(Protocol):
    """Runs jobs one after another; ``kill`` may be called from a signal handler while it runs one."""

    def execute(self, job: Job, observe: Observe) -> Death | None:
        """Run one job and pass its events on; return how its worker died, or null where the job ended."""

    def kill(self) -> None:
        """End the worker at once; what it ran is for the caller to close."""

    def close(self) -> None:
        """End the worker, which runs nothing now."""


class LocalSeat:
    """A seat on this machine: it starts its worker with the first job, if it has none, and replaces a spent one."""

    def __init__(
        self, options: Options, variables: Mapping[str, str] | None = None, spare: WorkerProcess | None = None
    ) -> None:
        self._options, self._variables = options, dict(variables or {})
        self._worker = spare
        self._killed = False

    def execute(self, job: Job, observe: Observe) -> Death | None:
        """Run one job; see ``Seat``."""
        worker = self._for(job.spec.threads)
        beginning, deadline = Deadline(worker, START_MINUTES), Deadline(worker, self._options.max_minutes)

        def watch(event: Mapping[str, Any]) -> None:
            if event["type"] == "started":
                beginning.passed()
                deadline.start()
            observe(event)

        kills = memory_kills()
        beginning.start()
        ended = worker.execute(job, watch)
        never_began, timed_out = beginning.passed(), deadline.passed()
        if ended:
            return None
        code = worker.wait()
        out_of_memory = code == -signal.SIGKILL and memory_kills() > kills
        if never_began:
            how = f"was stopped, as its job had not begun after {START_MINUTES:g} minutes,"
        elif out_of_memory:
            how = "was killed by the system, as memory ran out,"
        else:
            how = f"ended with code {code}"
        return Death(how, timed_out, worker.last_words(), out_of_memory)

    def kill(self) -> None:
        """End the worker at once; see ``Seat``."""
        self._killed = True
        if worker := self._worker:
            worker.kill()

    def close(self) -> None:
        """End the worker; see ``Seat``."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _for(self, threads: int) -> WorkerProcess:
        """Return a worker with so many threads; a process cannot change them once its libraries are loaded."""
        if self._worker is not None and (self._worker.threads != threads or not self._worker.usable):
            self.close()
        if self._worker is None:
            self._worker = WorkerProcess(self._options, threads, self._variables)
            if self._killed:  # while it was being started
                self._worker.kill()
        return self._worker
