"""Budget slices: which entries may be asked "which method should I use with so many parameters?" together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from harness.spec import Budget
from leaderboard.cells import Row

FEWEST, MOST = 0.5, 1.1
"""An entry that was asked for no budget joins one if it trains at least half of it and at most a tenth more."""


class Sized(NamedTuple):
    """One entry, what it may train and what it trains."""

    name: str
    trained: float | None
    """Scalars outside the head that it really trains; None where it is unknown."""
    asked: float | None = None
    """The budget it was asked to keep, in scalars; None where it was asked by another value, such as a rank."""


Kind = Literal["nothing", "budget", "unknown"]


class Slice(NamedTuple):
    """Entries that compete at one budget: a family of comparisons."""

    kind: Kind
    """``nothing``: references that train no scalar outside the head; ``unknown``: no run says what it trains."""
    budget: float | None
    """Scalars; None for the two other kinds."""
    members: tuple[str, ...]
    """By name."""

    @property
    def alone(self) -> bool:
        """Whether there is nothing to compare with."""
        return len(self.members) == 1


def slices(entries: Iterable[Sized]) -> tuple[Slice, ...]:
    """Put every entry into exactly one budget slice, by these rules and in this order.

    1. What trains nothing outside the head (``base``, ``head_only``) is a slice of its own.
    2. Entries that were asked to keep a budget compete at that budget, however much of it their knobs let them use.
    3. An entry asked by another value, such as a rank, joins the asked budget nearest to its real count, on a log
       scale, if it trains at least half of that budget and at most 10 % more than it.
    4. Of the others the largest opens a slice at its own count, which takes in those that train at least half as much;
       and so on with what is left. Full fine-tuning is usually alone in one.
    5. Entries whose count is unknown are alone, one slice each.

    Slices come by budget; the first is what trains nothing.
    """
    entries = sorted(entries)
    nothing = [one for one in entries if one.trained == 0]
    unknown = [one for one in entries if one.trained is None and one.asked is None]
    groups: dict[float, list[str]] = {}
    for one in entries:
        if one.asked is not None and one.trained != 0:
            groups.setdefault(one.asked, []).append(one.name)
    budgets = sorted(groups)
    free: list[Sized] = []
    for one in entries:
        if one.asked is None and one.trained:
            budget = nearest(one.trained, budgets)
            if budget is None:
                free.append(one)
            else:
                groups[budget].append(one.name)
    _by_count(free, groups)
    found = [Slice("nothing", None, tuple(one.name for one in nothing))] if nothing else []
    found += [Slice("budget", budget, tuple(sorted(groups[budget]))) for budget in sorted(groups)]
    return (*found, *(Slice("unknown", None, (one.name,)) for one in unknown))


def nearest(trained: float, budgets: Sequence[float]) -> float | None:
    """Return the budget an entry that trains so much belongs to, None where none is near enough."""
    near = [budget for budget in budgets if FEWEST * budget <= trained <= MOST * budget]
    return min(near, key=lambda budget: max(budget / trained, trained / budget), default=None)


def _by_count(free: Sequence[Sized], groups: dict[float, list[str]]) -> None:
    """Group entries without a budget by their counts, from the largest."""
    opened: float | None = None
    for one in sorted(free, key=lambda one: (-(one.trained or 0), one.name)):
        assert one.trained
        if opened is None or one.trained < FEWEST * opened:
            opened = one.trained
        groups.setdefault(opened, []).append(one.name)


def sized(name: str, row: Row) -> Sized:
    """Return what a row of the board was asked for and what it trains, under the name it has there."""
    records = [run.record for cell in row.cells.values() for run in cell.runs]
    asked: set[float] = set()
    for record in records:
        budget: Budget | None = record.spec.budget
        if budget is not None and record.counts is not None:
            asked.add(float(budget.scalars(record.counts.total)))
    return Sized(name, row.size, max(asked, default=None))
