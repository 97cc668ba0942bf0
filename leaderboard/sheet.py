"""What the pages of tasks and methods know of one section: names, places, and every cell as a line of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from leaderboard import paths
from leaderboard.cells import Cell, Ground, Row, Section
from leaderboard.columns import Column, headline
from leaderboard.figures import Figure, figures
from leaderboard.load import Run
from leaderboard.wording import names


class Seed(NamedTuple):
    """One run's numbers in its cell."""

    run: Run
    score: float | None
    """The headline metric on the reported split."""
    validation: float | None
    """The same on the validation split, at the state that was kept; None where the run trained on another task."""


class Line(NamedTuple):
    """One entry on one task."""

    name: str
    anchor: str
    row: Row
    cell: Cell
    seeds: tuple[Seed, ...]
    """The runs with a result."""
    num_items: tuple[int, ...]
    cut: tuple[int, ...]
    """Scored texts that were cut at the longest length, different numbers among the runs."""

    @property
    def validation(self) -> float | None:
        """Mean of the validation metric over the runs that have it."""
        known = [seed.validation for seed in self.seeds if seed.validation is not None]
        return float(np.mean(known)) if known else None


def anchor(ground: Ground, name: str) -> str:
    """Return the id of an entry's line on the page of a task, by its section and its name there."""
    text = "\n".join((*map(str, ground), name))
    return "entry-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


@dataclass(frozen=True, eq=False)
class Sheet:
    """One section; what takes time is computed once, when it is first asked for."""

    section: Section

    @property
    def ground(self) -> Ground:
        """What makes the section one."""
        return self.section.ground

    @property
    def id(self) -> str:
        """An id that no other section has."""
        return "section-" + anchor(self.ground, "").removeprefix("entry-")

    @property
    def title(self) -> str:
        """The section in a few words."""
        return self.ground.suite or "no suite"

    @cached_property
    def names(self) -> dict[Row, str]:
        """A name for each row that no other row has."""
        return names(self.section.rows)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Task to its column."""
        return {column.task: column for column in self.section.columns}

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Task to its chart."""
        return {figure.column.task: figure for figure in figures(self.section)}

    def anchor(self, row: Row) -> str:
        """Return the id of a row's line on the pages of tasks."""
        return anchor(self.ground, self.names[row])

    def link(self, row: Row, task: str) -> str:
        """Return the path of a row's line on a task's page."""
        return f"{paths.task(task)}#{self.anchor(row)}"

    def lines(self, task: str) -> Iterator[Line]:
        """Yield the entries that were asked to be scored on a task."""
        column = self.columns[task]
        for row in self.section.rows:
            cell = row.cells[task]
            if cell.runs:
                scores = [score for run in cell.good if (score := run.score(task))]
                yield Line(
                    name=self.names[row],
                    anchor=self.anchor(row),
                    row=row,
                    cell=cell,
                    seeds=tuple(Seed(run, headline(run, column), validation(run, column)) for run in cell.good),
                    num_items=tuple(sorted({score.num_items for score in scores})),
                    cut=tuple(sorted({score.truncated for score in scores})),
                )


def validation(run: Run, column: Column) -> float | None:
    """Return a run's headline metric on the validation rows of the epoch that was kept."""
    record = run.record
    if record.spec.train != column.task:
        return None
    kept = next((epoch for epoch in record.validation if epoch.epoch == record.best_epoch), None)
    return kept.metrics.get(column.measure.name) if kept else None
