"""Numbers from items: the mean and the interval of each cell, read by several processes where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.record import UnreadableRecord
from leaderboard.columns import Column, headline
from leaderboard.crew import Crew
from leaderboard.load import Run, read_entry
from leaderboard.statistics import Entry, Interval, score_interval

ENOUGH = 30
"""So many rows are worth another process."""


class Measured(NamedTuple):
    """The number of a cell."""

    interval: Interval
    entry: Entry | None
    """None where its items cannot be read."""
    unreadable: str
    """Why they cannot."""


Wanted = Sequence[tuple[Column, tuple[Run, ...]]]
"""The cells of one row: the tasks, and on each the runs that have a result."""


def measure(rows: Sequence[Wanted]) -> list[list[Measured | None]]:
    """Return the number of every cell; None where it has none."""
    with Crew(_row, rows, ENOUGH) as crew:
        return crew.results()


def _row(cells: Wanted) -> list[Measured | None]:
    return [_cell(column, runs) for column, runs in cells]


def _cell(column: Column, runs: tuple[Run, ...]) -> Measured | None:
    values = [value for run in runs if (value := headline(run, column)) is not None]
    if not runs or len(values) != len(runs):
        return None
    try:
        entry = read_entry(runs, column.task, column.measure.name)
    except UnreadableRecord as error:
        mean = Interval(float(np.mean(values)), None, None, len(runs), 0, "its items cannot be read")
        return Measured(mean, None, str(error))
    return Measured(column.measure.within(score_interval(entry)), entry, "")
