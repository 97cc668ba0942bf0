"""What all executors share: lanes that take jobs from the queue, and what becomes of an attempt whose worker died."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.errors import MissingPrerequisite, UnknownName
from harness.record import RECORD_FILE, Record, Status, UnreadableRecord, read_record
from harness.spec import Spec
from runners.attempt import Attempt, attempts, close_without_worker, open_attempt, read_started
from runners.process import Options
from runners.queue import Job, Queue
from runners.seat import Death, Seat
from runners.spares import Spares

Observer = Callable[[Spec | None, Mapping[str, Any]], None]
"""Told each event and the run it is of, or none for the whole matrix (Any: events are JSON)."""
DISK_PATIENCE = 180.0
"""Seconds until a record that another machine wrote must be seen here: network disks lag by a minute."""


EXECUTORS = {"local": "runners.local", "ray": "runners.ray", "slurm": "runners.slurm"}
"""Name to the module whose ``EXECUTOR`` starts workers that way."""


class Executor(ABC):
    """Runs a queue on seats, one lane (a thread of the scheduler) for each.

    ``drain`` and ``stop`` may be called from a signal handler.
    """

    def __init__(self, options: Options, observe: Observer, queue: Queue, spares: Spares | None = None) -> None:
        self.options, self.observe, self.queue = options, observe, queue
        self.spares = spares or Spares()
        """Workers on this machine that were started before the queue was known."""
        self.needs = ExitStack()
        """What ``__exit__`` gives back."""
        self._seats: set[Seat] = set()
        self._lock = threading.Lock()
        """Protects the set of seats."""
        self._stopped = False
        self._problems: list[BaseException] = []

    @classmethod
    def missing(cls, address: str | None) -> str | None:
        """Return what it needs and is not here, with what to do about it; null for nothing.

        Args:
            address: what the command line gave.
        """
        return None

    @abstractmethod
    def seat(self, lane: int) -> Seat | None:
        """Return a seat for a lane, after waiting for one where that is needed; null when nothing is left to run."""

    def num_seats(self) -> int:
        """Return how many seats there are for as many jobs as one could wish."""
        return self.options.workers or 1

    def doubts(self, specs: Sequence[Spec]) -> list[str]:
        """Return what speaks against running this, in words for the user; it is run all the same."""
        return []

    def __enter__(self) -> Executor:
        """Make ready what seats need."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.needs.close()

    def run(self) -> None:
        """Run every job; returns when the last one ended, or after a drain.

        Raises:
            Exception: what the observer raised, or what kept an attempt from being closed (a full disk). Nothing more
                was started then, and other workers finished what they ran.
        """
        # A search adds runs later, so that few jobs now may be many soon.
        seats = self.num_seats() if self.queue.may_grow else min(self.num_seats(), len(self.queue))
        lanes = [threading.Thread(target=self._serve, args=(lane,)) for lane in range(seats)]
        for lane in lanes:
            lane.start()
        try:
            for lane in lanes:
                while lane.is_alive():
                    lane.join(0.2)  # a join without a time limit would hold signals back
        except BaseException:
            self.stop()
            raise
        if self._problems:
            raise self._problems[0]

    def drain(self) -> None:
        """Start nothing more; what runs is finished."""
        self.queue.drain()

    def stop(self) -> None:
        """Start nothing more and kill what runs; its attempts are closed as cancelled."""
        self._stopped = True
        self.queue.drain()
        for seat in list(self._seats):
            seat.kill()

    def _serve(self, lane: int) -> None:
        seat: Seat | None = None
        before: Spec | None = None
        try:
            while seat := seat or self._sit(lane):
                if (job := self.queue.take(before)) is None:
                    break
                before = job.spec
                if not self._one(seat, job):
                    self._leave(seat)
                    seat = before = None
        except BaseException as problem:  # a thread has nobody to raise it to; ``run`` does
            self._problems.append(problem)
            self.drain()
        finally:
            if seat is not None:
                self._leave(seat)

    def _sit(self, lane: int) -> Seat | None:
        seat = self.seat(lane)
        if seat is not None:
            with self._lock:
                self._seats.add(seat)
            if self._stopped:
                seat.kill()
        return seat

    def _leave(self, seat: Seat) -> None:
        seat.close()
        with self._lock:
            self._seats.discard(seat)

    def _one(self, seat: Seat, job: Job) -> bool:
        """Run one job to its record; return whether the seat is still there."""
        before = {attempt.number for attempt in attempts(self.options.out, job.spec.run_id)}
        last: dict[str, Any] = {}

        def observe(event: Mapping[str, Any]) -> None:
            if event["type"] == "ended":  # told when the queue knows: it may have to be tried again
                last.update(event)
            else:
                self.observe(job.spec, event)

        death = seat.execute(job, observe)
        if death is None:
            self._end(job, _written(Path(last["folder"])), last)
            return True
        attempt = self._opened(job.spec, before)
        if attempt is None and self._stopped:
            return False
        status, kind, message = self._verdict(death)
        if attempt is None:
            attempt = open_attempt(self.options.out, job.spec, self.options.suite)
            said = death.last_words or "it wrote nothing"
            message = f"the worker process {death.how} before this attempt began: {said}"
        record = close_without_worker(attempt, status, kind, message, search=job.search)
        self._end(job, record, end_event(record, attempt.folder), death.seat_lost)
        return not death.seat_lost

    def _end(self, job: Job, record: Record, event: Mapping[str, Any], seat_lost: bool = False) -> None:
        ended = self.queue.ended(job, record, seat_lost)
        self.observe(job.spec, {**event, "again": ended.again})
        if ended.num_added:
            self.observe(None, {"type": "added", "runs": ended.num_added})
        for other, why in self.queue.take_broken():
            attempt = open_attempt(self.options.out, other.spec, self.options.suite)
            cancelled = close_without_worker(attempt, "cancelled", "breaker", why, search=other.search)
            self._end(other, cancelled, end_event(cancelled, attempt.folder))

    def _verdict(self, death: Death) -> tuple[Status, str, str]:
        if self._stopped:
            return "cancelled", "interrupted", "stopped by a second interrupt"
        if death.timed_out:
            told = (
                f"ran longer than max_minutes ({self.options.max_minutes:g}); where that was too short, give it more: "
            )
            return "timed_out", "TimedOut", told + "--set max_minutes=MINUTES --retry timed_out"
        if death.out_of_memory:
            advice = "run fewer at a time (--workers) or a larger training.accumulation, and --retry out_of_memory"
            return (
                "out_of_memory",
                "KilledForMemory",
                f"the worker process {death.how} while this attempt ran; {advice}",
            )
        return "lost", "WorkerDied", f"the worker process {death.how} while this attempt ran"

    def _opened(self, spec: Spec, before: set[int]) -> Attempt | None:
        """Return the attempt that a dead worker of ours opened after ``before`` was taken."""
        for attempt in attempts(self.options.out, spec.run_id):
            try:
                if attempt.number not in before and read_started(attempt).suite == self.options.suite:
                    return attempt
            except UnreadableRecord:  # it died before that file was whole
                continue
        return None


def _written(folder: Path) -> Record:
    """Return the record that a worker says it wrote."""
    end = time.monotonic() + DISK_PATIENCE
    while not (folder / RECORD_FILE).exists() and time.monotonic() < end:
        time.sleep(0.1)
    return read_record(folder / RECORD_FILE)


def end_event(record: Record, folder: Path) -> dict[str, Any]:  # Any: an event is JSON
    """Return the event of an attempt that no worker told the end of."""
    why = record.error.message if record.error else None
    return {"type": "ended", "status": record.status, "folder": str(folder), "message": why}


def is_installed(library: str) -> bool:
    """Return whether a library can be imported, without importing it."""
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:  # it is marked as one that cannot be
        return False


def check(name: str, address: str | None = None) -> None:
    """Refuse an executor that does not exist, or whose library is not here.

    Raises:
        UnknownName, MissingPrerequisite: naming those that exist, or what to install.
    """
    if name not in EXECUTORS:
        raise UnknownName("executor", name, EXECUTORS, "--executor")
    if missing := importlib.import_module(EXECUTORS[name]).EXECUTOR.missing(address):
        raise MissingPrerequisite(missing)


def executor(options: Options, observe: Observer, queue: Queue, spares: Spares | None = None) -> Executor:
    """Return the executor that the options name; see ``check``."""
    made: Executor = importlib.import_module(EXECUTORS[options.executor]).EXECUTOR(options, observe, queue, spares)
    return made
