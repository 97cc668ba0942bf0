"""The queue: what is still to run, in an order that keeps caches hot, shared by every lane of every executor."""

from __future__ import annotations

import heapq
import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from pydantic import JsonValue

from harness.record import Record, Status
from harness.spec import Spec
from runners.attempt import DISK_FULL
from runners.forecast import Speeds

EQUAL_ERRORS = 5
"""After so many equal errors of one method its remaining runs are not tried."""
ERRORS: tuple[Status, ...] = ("failed", "lost")
"""Statuses that speak against a method; the others speak against its values, its size or the time that it had."""
LOST_RETRIES, MOVES = 1, 5
"""How often a run is started again by itself after its worker died, and after its worker's machine did."""
POLL = 0.5
"""Seconds between looks of a lane that waits for runs which others may add: a drain must not need the lock."""


@dataclass(frozen=True)
class Job:
    """One run as it goes to a worker: a line of JSON."""

    spec: Spec
    search: dict[str, JsonValue] | None = None
    """The bill of the search that chose the values; goes into the record."""
    tries: int = 0
    """How often its worker died of itself; of no concern to the worker."""
    moves: int = 0
    """How often it was lost with its seat."""

    def line(self) -> str:
        """Return the line of JSON, without its end."""
        return json.dumps({"spec": self.spec.model_dump(mode="json"), "search": self.search})

    @classmethod
    def parse(cls, line: str) -> Job:
        """Read a line."""
        content = json.loads(line)
        return cls(Spec.model_validate(content["spec"]), content["search"])


class Follow(Protocol):
    """What asks for further runs when it knows how others ended: a search."""

    def after(self, record: Record) -> Sequence[Spec]:
        """Return the runs to add now that one has ended for good; never called from two threads at once."""

    def bill(self, spec: Spec) -> dict[str, JsonValue] | None:
        """Return what the record of a run says of the search that chose its values; null for no search."""


class Ended(NamedTuple):
    """What became of a job that ended."""

    again: bool = False
    """Whether it goes back for another try."""
    num_added: int = 0
    """Jobs that the search added in answer."""


class _Key(NamedTuple):
    """Runs with an equal key share everything that a worker keeps warm."""

    threads: int
    backbone: str
    train: str
    protocol: str


@dataclass
class _Group:
    """The waiting runs of one key, first tries before others and the longest first."""

    number: int
    jobs: list[tuple[int, float, int, Job]] = field(default_factory=list)
    left: float = 0.0
    lanes: int = 0
    """How many lanes came to it."""


class Queue:
    """Jobs in the order they should be run; safe to use from several threads, and ``drain`` from a signal handler."""

    def __init__(
        self,
        specs: Iterable[Spec] = (),
        *,
        follow: Follow | None = None,
        speeds: Speeds | None = None,
    ) -> None:
        self._follow, self._speeds = follow, speeds or Speeds()
        self._numbers = itertools.count()
        self._groups: dict[_Key, _Group] = {}
        self._changed = threading.Condition()
        """Protects everything below."""
        self._following = threading.Lock()
        """Held while the search is asked, which may take longer than a lane should wait for its next job."""
        self._running = 0
        self._draining = False
        self._errors: Counter[tuple[str, str, str]] = Counter()
        self._broken: dict[str, str] = {}
        """Method to why its runs are not tried any more."""
        self._add([self._job(spec) for spec in specs])

    def take(self, like: Spec | None = None) -> Job | None:
        """Return the next job for a lane that ran ``like`` before; null when nothing is left for it.

        Waits while the queue is empty but the search may still add to it. Every job that is taken must be ``ended``.
        """
        with self._changed:
            while not self._draining:
                if self._groups:
                    self._running += 1
                    return self._pop(_key(like) if like else None)
                if self._follow is None or not self._running:
                    return None
                self._changed.wait(POLL)
            return None

    def ended(self, job: Job, record: Record, seat_lost: bool = False) -> Ended:
        """Close a job that was taken: put it in again if it was lost, else add what follows from its end.

        Args:
            job: what was taken.
            record: how it ended.
            seat_lost: whether it was lost with its seat, which says nothing of the run.
        """
        again = replace(job, moves=job.moves + 1) if seat_lost else replace(job, tries=job.tries + 1)
        bounded = again.tries <= LOST_RETRIES and again.moves <= MOVES
        if record.status == "lost" and bounded and not self._draining:
            with self._changed:
                self._running -= 1
                self._add([again])
            return Ended(again=True)
        added: list[Job] = []
        if self._follow is not None and not self._draining:
            with self._following:
                added = [self._job(spec) for spec in self._follow.after(record)]
        with self._changed:
            if record.status in ERRORS and not (record.error and record.error.kind == DISK_FULL):
                self._count(record)
            self._add(added)
            self._running -= 1
            self._changed.notify_all()
        return Ended(num_added=len(added))

    def take_broken(self) -> list[tuple[Job, str]]:
        """Take every job of methods that failed too often, and why each is not to be run."""
        taken: list[tuple[Job, str]] = []
        with self._changed:
            for key, group in list(self._groups.items()) if self._broken else ():
                out = [entry for entry in group.jobs if entry[-1].spec.method in self._broken]
                taken += [(entry[-1], self._broken[entry[-1].spec.method]) for entry in out]
                group.jobs = [entry for entry in group.jobs if entry[-1].spec.method not in self._broken]
                heapq.heapify(group.jobs)
                group.left += sum(entry[1] for entry in out)
                if not group.jobs:
                    del self._groups[key]
            self._running += len(taken)
        return taken

    def drain(self) -> None:
        """Give nothing more out."""
        self._draining = True

    @property
    def may_grow(self) -> bool:
        """Return whether more jobs may come than there are."""
        return self._follow is not None

    def is_over(self) -> bool:
        """Return whether no job waits, and none runs that could bring one."""
        return self._draining or not (self._groups or self._running)

    def __len__(self) -> int:
        return sum(len(group.jobs) for group in self._groups.values())

    def _job(self, spec: Spec) -> Job:
        return Job(spec, self._follow.bill(spec) if self._follow else None)

    def _add(self, jobs: Iterable[Job]) -> None:
        with self._changed:  # a condition's lock may be taken again by its holder
            for job in jobs:
                number, seconds = next(self._numbers), self._speeds.length(job.spec)
                group = self._groups.setdefault(_key(job.spec), _Group(number))
                heapq.heappush(group.jobs, (job.tries + job.moves, -seconds, number, job))
                group.left += seconds
            self._changed.notify_all()

    def _pop(self, like: _Key | None) -> Job:
        key = like if like in self._groups else max(self._groups, key=lambda one: self._fit(one, like))
        group = self._groups[key]
        *_, seconds, _, job = heapq.heappop(group.jobs)
        group.left += seconds
        group.lanes += key != like
        if not group.jobs:
            del self._groups[key]
        return job

    def _fit(self, key: _Key, like: _Key | None) -> tuple[bool, bool, int, float, int]:
        """Return how well a group suits a lane: what stays warm, then where fewest lanes are, then most is left."""
        group = self._groups[key]
        same_threads = like is not None and key.threads == like.threads
        same_backbone = same_threads and like is not None and key.backbone == like.backbone
        return same_threads, same_backbone, -group.lanes, group.left, -group.number

    def _count(self, record: Record) -> None:
        method, error = record.spec.method, record.error
        kind, message = (error.kind, error.message) if error else (record.status, "")
        self._errors[method, kind, plain(message)] += 1
        if self._errors[method, kind, plain(message)] >= EQUAL_ERRORS:
            first = message.partition("\n")[0]
            self._broken.setdefault(
                method,
                f"not tried: {EQUAL_ERRORS} runs of {method} ended with the same error ({kind}: {first}); "
                f"mend its cause and run the suite again",
            )


def plain(message: str) -> str:
    """Return a message without what differs between equal errors: numbers, addresses, digests and paths."""
    message = re.sub(r"~?(?:/[\w.@+~-]+)+", "/", message)
    return re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", "0", message)


def _key(spec: Spec) -> _Key:
    return _Key(spec.threads, spec.backbone, spec.train, spec.protocol)
