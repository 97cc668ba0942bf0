"""Pairs: what a reader who picks two entries of a section is told, computed here and looked up by the page.

An entry's name in addresses is made of what was asked, so that a link to a comparison stays good while the board
grows. Sections of up to ``NUM_ALL`` entries hold every pair; larger ones hold each entry against the best of the task,
the references, and its neighbours by trained parameters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from leaderboard import cells, paths
from leaderboard.averages import Average, average, averages_of
from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column
from leaderboard.duels import Duel, Pair, duels
from leaderboard.references import Field
from leaderboard.statistics import Interval

NUM_ALL = 60
NUM_NEIGHBOURS = 2
RULE = (
    f"Of more than {NUM_ALL} entries, pairs are computed of each with the best of the task, with full fine-tuning and "
    f"the nearest reference, and with the next {NUM_NEIGHBOURS} by trained parameters."
)


def section_id(section: Section) -> str:
    """Return a section's name in addresses: plain characters, no other section's."""
    return PurePosixPath(paths.board(section.ground)).stem


def entry_id(row: Row) -> str:
    """Return an entry's name in addresses: its method, and a digest of what was asked of it."""
    asked = json.dumps([row.method, row.values, row.budget, row.targets, row.settings])
    return f"{paths.slug(row.method)[:40]}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def data_path(section: Section) -> str:
    """Return where the pairs of a section lie, for the script."""
    return f"data/pairs-{section_id(section)}.js"


def plain_path(section: Section) -> str:
    """Return where the pairs with the best lie as a plain table."""
    return f"compare/{section_id(section)}.html"


class OfTask(NamedTuple):
    """The pairs of one task."""

    column: Column
    duels: Mapping[Pair, Duel]
    """By places of rows in the section, the smaller first."""
    refused: Mapping[int, str]
    """Rows that are in no pair, and why."""
    best: int | None
    """The row that others are set against in plain tables: the best mean that may be compared, else the best."""

    def between(self, first: int, second: int) -> Duel | None:
        """Return a pair seen from its first entry."""
        found = self.duels.get((min(first, second), max(first, second)))
        return found if found is None or first < second else turned(found)


class OfSection(NamedTuple):
    """The pairs of a section."""

    field: Field
    tasks: tuple[OfTask, ...]
    averages: tuple[tuple[Average, Mapping[Pair, Interval]], ...]
    """Differences of declared averages, for pairs that have all of its tasks."""
    complete: bool
    """Whether every pair is there that could be."""


def turned(duel: Duel) -> Duel:
    """Return a duel seen from the other side."""
    gap = duel.difference
    low, high = (None if end is None else -end for end in (gap.high, gap.low))
    return Duel(gap._replace(estimate=-gap.estimate, low=low, high=high), duel.lost, duel.won)


def pairs_of(section: Section) -> OfSection:
    """Return the pairs of a section on all of its tasks and averages."""
    field = Field(section)
    complete = len(section.rows) <= NUM_ALL
    tasks = tuple(_of_task(field, column, complete) for column in section.columns)
    averages = tuple((mean, _of_average(mean, tasks)) for mean in averages_of(section))
    return OfSection(field, tasks, averages, complete)


def _of_task(field: Field, column: Column, complete: bool) -> OfTask:
    found = [row.cells[column.task] for row in field.section.rows]
    refused = {place: why for place, cell in enumerate(found) if (why := refusal(cell))}
    places = [place for place in range(len(found)) if place not in refused]
    best = _best(field, column, places)
    every = [(first, second) for number, first in enumerate(places) for second in places[number + 1 :]]
    pairs = every if complete else _some(field, column, places, best)
    entries = {place: entry for place, cell in enumerate(found) if (entry := cell.entry) is not None}
    return OfTask(column, duels(entries, pairs, column.measure.higher_is_better), refused, best)


def refusal(cell: Cell) -> str:
    """Return why a cell can be in no pair, or nothing."""
    if not cell.runs:
        return "not run"
    if not cell.good:
        return ", ".join(sorted({run.record.status.replace("_", " ") for run in cell.bad}))
    if cell.entry is None:
        return cell.interval.basis if cell.interval else "the metric is undefined"
    outdated = [mark.split(":")[0] for mark in cell.marks if mark.startswith(("stale", "superseded"))]
    return outdated[0] if outdated else ""


def caveat(cell: Cell) -> str:
    """Return what keeps a cell that is in pairs from being ranked, or nothing."""
    return "" if cell.comparable else cells.obstacle(cell)


def _best(field: Field, column: Column, places: Sequence[int]) -> int | None:
    rows = field.section.rows
    chosen = field.best.get(column.task)
    if chosen is not None:
        return rows.index(chosen)
    sign = 1.0 if column.measure.higher_is_better else -1.0
    means = {p: sign * cell.interval.estimate for p in places if (cell := rows[p].cells[column.task]).interval}
    return max(means, key=means.__getitem__, default=None)


def _some(field: Field, column: Column, places: Sequence[int], best: int | None) -> list[Pair]:
    """Return the pairs that a large section holds."""
    rows, usable, found = field.section.rows, set(places), set()
    place_of = {row: place for place, row in enumerate(rows)}
    for number, place in enumerate(places):
        others = {place_of[reference.row] for reference in field.against(rows[place], column.task)}
        others |= {*places[number + 1 : number + 1 + NUM_NEIGHBOURS], *([] if best is None else [best])}
        found |= {(min(place, other), max(place, other)) for other in others & usable - {place}}
    return sorted(found)


def _of_average(mean: Average, tasks: Sequence[OfTask]) -> dict[Pair, Interval]:
    """Return the differences of an average: the same weighted sum of the tasks' paired differences."""
    parts = {one.column.task: one.duels for one in tasks if one.column.task in mean.weights}
    shared = set.intersection(*(set(found) for found in parts.values()))
    differences = {}
    for pair in sorted(shared):
        gaps = {task: Cell(task, (), (), found[pair].difference) for task, found in parts.items()}
        difference = average(gaps, mean)
        assert difference is not None  # every task of it has one
        differences[pair] = difference
    return differences
