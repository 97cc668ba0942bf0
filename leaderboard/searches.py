"""Searches as the records of finals tell of them: the bill, what was tried, and how the learning rate moves scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from leaderboard.columns import Column, headline
from leaderboard.load import Run
from leaderboard.sheet import validation


class _Told(BaseModel):
    """Part of a bill; what a later version adds is no reason not to read it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Tried(_Told):
    """One trial."""

    run_id: str
    values: dict[str, JsonValue]
    status: str | None = None
    metric: float | None = None
    """The headline metric on validation."""
    epochs: int | None = None
    ended_by: str | None = None


class Bill(_Told):
    """What a search tried, cost and chose."""

    search: str
    over: tuple[str, ...]
    sampler: str = "unknown"
    select: str = "unknown"
    selected_on: str = "unknown"
    share: str = "unknown"
    budget: str | None = None
    halving: bool = False
    num_trials: int
    num_epochs: int
    statuses: dict[str, int] = {}
    seconds: float
    trials: tuple[Tried, ...] = ()
    chosen: dict[str, JsonValue] | None = None
    edges: tuple[str, ...] = ()
    """Chosen values that are the smallest or the largest tried."""
    unequal: str | None = None
    """What differs from the searches of other methods on the same task."""


class Charged(NamedTuple):
    """A bill, and the finals that took its winner."""

    bill: Bill
    finals: tuple[Run, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the finals trained on."""
        return tuple(sorted({run.record.spec.train for run in self.finals}))


class Rate(NamedTuple):
    """What one learning rate gave, for one method as it was asked for."""

    rate: float
    num_trials: int
    finals: tuple[Run, ...]
    validation: float | None
    """Mean over trials and finals."""
    score: float | None
    """Mean of the finals on the reported split."""
    edges: tuple[str, ...]
    """Set where a search chose this rate at an end of what it tried."""


class Rates(NamedTuple):
    """The learning rates of one method as it was asked for, on one task, ascending."""

    task: str
    asked: str
    rates: tuple[Rate, ...]


def bill_of(run: Run) -> Bill | None:
    """Return the bill in a run's record; None where there was no search, or the bill is not one that can be read."""
    if run.record.search is None:
        return None
    try:
        return Bill.model_validate(run.record.search)
    except ValidationError:
        return None


def bills(runs: Iterable[Run]) -> tuple[Charged, ...]:
    """Return every search behind some runs once, by task and name."""
    found: dict[str, Bill] = {}
    finals: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if bill := bill_of(run):
            found.setdefault(bill.search, bill)
            finals[bill.search].append(run)
    charged = [Charged(bill, tuple(finals[name])) for name, bill in found.items()]
    return tuple(sorted(charged, key=lambda one: (one.tasks, one.bill.search)))


def asked_of(run: Run) -> str:
    """Return what was asked of a method in a few words, the values that a search chose left out."""
    spec = run.record.spec
    bill = bill_of(run)
    searched = set(bill.over) if bill else set()
    words = [f"{name} {value}" for name, value in sorted(spec.values.items()) if name not in searched]
    return ", ".join([*([str(spec.budget)] if spec.budget else []), *words]) or "one size"


class _Point(NamedTuple):
    """One run's part in the learning rates of its group."""

    rate: float
    validation: float | None
    final: Run | None = None


def sensitivity(finals: Sequence[Run], trials: Sequence[Run], column: Column) -> tuple[Rates, ...]:
    """Return what each learning rate gave on a task, by what was asked of the method.

    Trials come from their own records, and from the bills of finals where these were not kept.

    Args:
        finals: ok runs of one method that trained on the column's task.
        trials: the same, of its searches.
        column: the task.
    """
    points: dict[str, list[_Point]] = defaultdict(list)
    edges: dict[tuple[str, float], set[str]] = defaultdict(set)
    seen = {run.run_id for run in trials}
    for run in finals:
        asked, rate = asked_of(run), run.record.spec.training.lr
        points[asked].append(_Point(rate, validation(run, column), run))
        if bill := bill_of(run):
            edges[asked, rate].update(edge for edge in bill.edges if edge.startswith("lr "))
    for run in trials:
        points[asked_of(run)].append(_Point(run.record.spec.training.lr, validation(run, column)))
    for charged in bills(finals):
        asked = charged.bill.budget or asked_of(charged.finals[0])
        points[asked] += _told(charged.bill, seen)
    return tuple(
        Rates(column.task, asked, tuple(_rates(asked, points[asked], edges, column))) for asked in sorted(points)
    )


def _told(bill: Bill, seen: set[str]) -> Iterator[_Point]:
    for trial in bill.trials:
        rate = trial.values.get("lr")
        if isinstance(rate, float | int) and trial.metric is not None and trial.run_id not in seen:
            yield _Point(float(rate), trial.metric)


def _rates(
    asked: str, points: Sequence[_Point], edges: Mapping[tuple[str, float], set[str]], column: Column
) -> Iterator[Rate]:
    for rate in sorted({point.rate for point in points}):
        group = [point for point in points if point.rate == rate]
        finals = tuple(point.final for point in group if point.final)
        yield Rate(
            rate,
            len(group) - len(finals),
            finals,
            _mean([point.validation for point in group]),
            _mean([headline(run, column) for run in finals]),
            tuple(sorted(edges.get((asked, rate), ()))),
        )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
