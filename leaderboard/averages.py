"""Averages: one number for a family of tasks, such as GLUE's, over the cells of a row.

A task file states them in a literal ``AVERAGES``; each is a mean of group means, where a group may be a single task.
The interval takes the tasks as independent of each other given the method: variances add up, and Satterthwaite's
formula gives the degrees of freedom. A row that lacks a task has no average: a mean over other tasks would be another
number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy import stats

from harness.registry import averages
from leaderboard.cells import Cell, Section
from leaderboard.statistics import LEVEL, Interval


class Average(NamedTuple):
    """What an average is of."""

    name: str
    title: str
    groups: tuple[tuple[str, ...], ...]

    @property
    def weights(self) -> dict[str, float]:
        """Task to its share of the average."""
        return {task: 1 / len(self.groups) / len(group) for group in self.groups for task in group}


def averages_of(section: Section) -> tuple[Average, ...]:
    """Return the averages whose tasks a section has in full, by name."""
    tasks = {column.task for column in section.columns}
    known = (_average(facts) for facts in averages())
    return tuple(one for one in sorted(known) if one.weights.keys() <= tasks)


def average(cells: Mapping[str, Cell], of: Average) -> Interval | None:
    """Return the average of a row's cells with its 95 % interval; null where a task has no number."""
    chosen = [(weight, cells[task]) for task, weight in of.weights.items()]
    known = [(weight, cell.interval) for weight, cell in chosen if cell.interval is not None]
    if len(known) < len(chosen):
        return None
    mean = sum(weight * interval.estimate for weight, interval in known)
    num_seeds, num_items = min(one.num_seeds for _, one in known), sum(one.num_items for _, one in known)
    parts = [
        (weight**2 * interval.error**2, interval.degrees)
        for weight, interval in known
        if interval.error is not None and interval.degrees is not None
    ]
    if len(parts) < len(known):
        return Interval(mean, None, None, num_seeds, num_items, "one of its tasks has no interval")
    bases = {interval.basis for _, interval in known}
    if len(bases) > 1:
        return Interval(mean, None, None, num_seeds, num_items, "its tasks were run on different numbers of seeds")
    variance = sum(part for part, _ in parts)
    if not variance:  # which is no proof that another seed would give the same
        return Interval(mean, None, None, num_seeds, num_items, "none of its tasks shows a spread")
    degrees = variance**2 / sum(part**2 / free for part, free in parts)
    half = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * variance**0.5
    return Interval(mean, mean - half, mean + half, num_seeds, num_items, bases.pop(), variance**0.5, degrees)


def _average(facts: Mapping[str, object]) -> Average:
    groups = facts.get("groups") or {task: [task] for task in _names(facts["tasks"])}
    assert isinstance(groups, dict)
    return Average(str(facts["name"]), str(facts["title"]), tuple(_names(group) for group in groups.values()))


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, Sequence)
    return tuple(map(str, value))
