"""Forecast: how long runs will take, from the seconds that past runs on the same kind of device took in each phase.

What a run has to do is counted as row-tokens: rows times passes over them times the longest text. Seconds per row-token
come from records of the same backbone, method and task, else of the same backbone and method, else of the same
backbone; what has none of these is unknown, and no number is made up for it. Only the order in which runs are started
needs one for each: there it is what the work takes as all past runs took theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import JsonValue

from harness import registry
from harness.environment import describe
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import Record
from harness.spec import Spec
from runners.found import PUBLISHED, contents

PHASES = ("start", "fit", "validate", "score")
"""``start`` is all that does not grow with the rows: loading, attaching, restoring, and writing the record."""
GROWING = PHASES[1:]
Basis = Literal["cell", "method", "backbone"]
BASES: tuple[Basis, ...] = ("cell", "method", "backbone")
MOST_READ = 2000
"""Records of one folder that a forecast reads: a quarter of a second's worth."""
LARGEST_VALIDATION, UNKNOWN_ROWS = 1000, 1000
"""Rows of a validation part whose size nobody asked for (see ``harness.splits``), and of a split that says nothing."""
FORWARD = 1 / 3
"""What a row costs that is only predicted, in rows that are trained on."""


class Job(NamedTuple):
    """What the time of a run hangs on; runs that differ in their seed alone are one job."""

    backbone: str
    method: str
    task: str
    fit: float
    """Row-tokens of training, validation and scoring."""
    validate: float
    score: float

    def key(self, basis: Basis) -> tuple[str, ...]:
        """Return what a record must share with this job to be evidence of this kind."""
        return (self.backbone, self.method, self.task)[: 3 - BASES.index(basis)]

    @property
    def work(self) -> float:
        """Return the row-tokens of all phases, as many of training as would take as long."""
        return self.fit + FORWARD * (self.validate + self.score)

    def amount(self, phase: str) -> float:
        """Return the row-tokens of a phase; the start is one start."""
        return float(getattr(self, phase)) if phase in GROWING else 1.0


class Estimate(NamedTuple):
    """The seconds that a run is expected to take."""

    seconds: dict[str, float]
    """By phase."""
    basis: Basis

    @property
    def total(self) -> float:
        """Return the seconds of all phases."""
        return sum(self.seconds.values())


def job(spec: Spec) -> Job:
    """Return the job that a spec is.

    Raises:
        UnknownName, MissingPrerequisite: for a task that is not registered here.
    """
    training = spec.training
    train = _rows(spec.train, "train", spec.sizes.train)
    held = spec.sizes.validation or min(LARGEST_VALIDATION, train // 10)
    tests = [_rows(name, "evaluation", spec.sizes.test) for name in spec.score] if spec.purpose == "final" else []
    passes = training.epochs * training.max_length
    scored = float(sum(tests) * training.max_length)
    return Job(spec.backbone, spec.method, spec.train, float(train * passes), float(held * passes), scored)


@cache
def _rows(task: str, split: Literal["train", "evaluation"], asked: int | None) -> int:
    """Return the rows of a split that a run reads."""
    size = registry.load_task(task).card.sizes.get(split, UNKNOWN_ROWS)
    return size if asked is None else min(size, asked)


def device_kind(environment: dict[str, JsonValue]) -> str:
    """Return what two machines must share before their seconds say something of each other."""
    if str(environment.get("device")).startswith("cuda"):
        return str(environment.get("gpu"))
    threads = environment.get("threads")
    return f"cpu {environment.get('processor')}, {threads} thread{'' if threads == 1 else 's'}"


def wall_seconds(record: Record) -> float:
    """Return the time from start to end; a clock that was set back meanwhile leaves the phases' own sum."""
    span = (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()
    return max(span, sum(record.cost.seconds.values()))


class Speeds:
    """Seconds per row-token of each phase, by backbone, method and task."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._seconds: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: dict.fromkeys(PHASES, 0.0))
        self._amounts: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: dict.fromkeys(PHASES, 0.0))
        self._spent = self._work = 0.0
        """Of all that was learned from."""
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a record; one that is not ok, or whose task is not known here, teaches nothing."""
        if record.status != "ok":
            return
        try:
            done = job(record.spec)
        except (UnknownName, MissingPrerequisite):
            return
        took = {phase: record.cost.seconds.get(phase, 0.0) for phase in GROWING}
        took["start"] = wall_seconds(record) - sum(took.values())
        self._spent, self._work = self._spent + wall_seconds(record), self._work + done.work
        for basis in BASES:
            for phase in PHASES:
                self._seconds[done.key(basis)][phase] += took[phase]
                self._amounts[done.key(basis)][phase] += done.amount(phase)

    def estimate(self, asked: Job, bases: Sequence[Basis] = BASES) -> Estimate | None:
        """Return what a job will take by the nearest evidence, or none where there is none."""
        for basis in bases:
            seconds, amounts = self._seconds.get(asked.key(basis)), self._amounts.get(asked.key(basis))
            # Trials are never scored: they say nothing of a final's last phase.
            if seconds and amounts and all(amounts[phase] or not asked.amount(phase) for phase in PHASES):
                rates = {phase: seconds[phase] / amounts[phase] if amounts[phase] else 0.0 for phase in PHASES}
                return Estimate({phase: rates[phase] * asked.amount(phase) for phase in PHASES}, basis)
        return None

    def length(self, spec: Spec) -> float:
        """Return by what runs are started, the longest first: seconds, or row-tokens where nothing ever ended."""
        asked = job(spec)
        if found := self.estimate(asked):
            return found.total
        return asked.work * (self._spent / self._work if self._work else 1.0)


class Forecast(NamedTuple):
    """The time that runs will take together."""

    device: str
    workers: int
    seconds: float
    """Of work, in the runs of which something is known."""
    phases: dict[str, float]
    longest: float
    guessed_seconds: float
    """The part of them that comes from other methods or tasks on the same backbone."""
    runs: dict[str, int]
    """How many are ``measured``, ``guessed`` and ``unknown``."""

    @property
    def wall(self) -> float | None:
        """Return the seconds until all runs of which something is known have ended; none where nothing is."""
        known = self.runs["measured"] + self.runs["guessed"]
        return max(self.seconds / self.workers, self.longest) if known or not self.runs["unknown"] else None

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for machines."""
        return {
            "device": self.device,
            "workers": self.workers,
            "seconds": self.wall and round(self.wall, 1),
            "work_seconds": round(self.seconds, 1),
            "guessed_seconds": round(self.guessed_seconds, 1),
            "phases": {phase: round(spent, 1) for phase, spent in self.phases.items()},
            "runs": dict(self.runs),
        }

    def __str__(self) -> str:
        counts = self.runs
        unknown = f"{counts['unknown']} unknown: no record of their backbone on this device"
        if self.wall is None:
            return f"forecast: none, {unknown} ({self.device})"
        known = f"{counts['measured']} runs measured before"
        if counts["guessed"]:
            share = self.guessed_seconds / self.seconds if self.seconds else 0.0
            known += f", {counts['guessed']} guessed from other methods or tasks ({share:.0%} of the time)"
        spread = f" ({duration(self.seconds)} of work on {self.workers} workers)" if self.workers > 1 else ""
        more = f", {unknown}, not in this time" if counts["unknown"] else ""
        return f"forecast: {duration(self.wall)}{spread} on {self.device}: {known}{more}"


def forecast(jobs: Iterable[Job], speeds: Speeds, device: str, workers: int) -> Forecast:
    """Add up what jobs will take."""
    phases, runs = dict.fromkeys(PHASES, 0.0), {"measured": 0, "guessed": 0, "unknown": 0}
    longest = guessed = 0.0
    for asked in jobs:
        found = speeds.estimate(asked)
        runs["unknown" if found is None else "measured" if found.basis == "cell" else "guessed"] += 1
        if found is None:
            continue
        longest = max(longest, found.total)
        guessed += found.total if found.basis != "cell" else 0.0
        for phase, spent in found.seconds.items():
            phases[phase] += spent
    return Forecast(device, workers, sum(phases.values()), phases, longest, guessed, runs)


def past(out: Path, device: str, threads: int) -> tuple[str, Speeds]:
    """Return the kind of a device, and the speeds that records of ``out`` and of the project tell of it."""
    kind = device_kind(describe(device, threads))
    folders = [folder for folder in (PUBLISHED, out) if folder.is_dir()]
    runs = contents(folders, MOST_READ).runs
    records = (found.record for attempts in runs.values() for found in attempts)
    return kind, Speeds(record for record in records if device_kind(record.environment) == kind)


def duration(seconds: float) -> str:
    """Return a time in words, as exact as a forecast deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
