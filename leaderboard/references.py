"""References: the entries that every other one is set against, found by what they train.

Full fine-tuning is the row that trains all of N. Beside it stands the method by which the field measures others, at
the number of trained parameters nearest to the entry looked at. A section without both offers its best mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from leaderboard.cells import Row, Section
from leaderboard.columns import Column
from leaderboard.wording import names

MEASURED_AGAINST = ("lora",)
"""Methods that readers of this field know and judge others by; a change here changes what pages set runs against."""


class Reference(NamedTuple):
    """An entry that another is set against, and why."""

    row: Row
    why: str


class Field:
    """The entries of a section as others are set against them; make one per section."""

    def __init__(self, section: Section) -> None:
        """Find the references of a section."""
        self.section = section
        known = [row for row in section.rows if row.size is not None]
        self.whole = tuple(row for row in known if _trains_all(row))
        """Rows that train all of N."""
        self.usual = tuple(row for row in known if row.method in MEASURED_AGAINST)
        """Rows of the methods that others are measured against."""
        self._logs = {row: math.log1p(row.size) for row in known if row.size is not None}
        self._found: dict[Row, list[Reference]] = {}

    @cached_property
    def names(self) -> Mapping[Row, str]:
        """A name for each row that no other has."""
        return names(self.section.rows)

    @cached_property
    def best(self) -> Mapping[str, Row]:
        """Task to the row with the best comparable mean, where there is one."""
        return {column.task: row for column in self.section.columns if (row := _best(self.section, column))}

    def against(self, row: Row, task: str) -> list[Reference]:
        """Return what an entry is set against on a task, never itself."""
        if row not in self._logs:
            return []
        if row not in self._found:
            self._found[row] = self._references(row)
        best = self.best.get(task)
        if self._found[row] or best is None or best is row:
            return self._found[row]
        return [Reference(best, "best mean here")]

    def _references(self, row: Row) -> list[Reference]:
        """Return the references that are the same on every task."""
        found = [Reference(one, "trains all of N") for one in self.whole if one is not row][:1]
        usual = [one for one in self.usual if one is not row]
        if usual:
            here = self._logs[row]
            nearest = min(usual, key=lambda one: abs(self._logs[one] - here))  # the first of equals, as rows are sorted
            found.append(Reference(nearest, f"{nearest.method} nearest in trained parameters"))
        return found


def _trains_all(row: Row) -> bool:
    totals = {
        run.record.counts.total for cell in row.cells.values() for run in cell.good if run.record.counts is not None
    }
    return bool(totals) and totals == set(row.trained)


def _best(section: Section, column: Column) -> Row | None:
    sign = 1.0 if column.measure.higher_is_better else -1.0
    means = {
        row: sign * cell.interval.estimate
        for row in section.rows
        if (cell := row.cells[column.task]).comparable and cell.interval is not None
    }
    return max(means, key=means.__getitem__, default=None)
