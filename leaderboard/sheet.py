"""What the pages of tasks and methods know of one section: names, anchors, studies, and a cell as a line of a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from leaderboard import paths
from leaderboard.cells import Ground, Row, Section, anchor
from leaderboard.columns import Column, headline
from leaderboard.families import Family, families
from leaderboard.load import Run
from leaderboard.standings import Ranked, Study, entries_of, study
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

    entry: Ranked
    anchor: str
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
        return "section-" + anchor(self.ground, "")

    @property
    def title(self) -> str:
        """The section in a few words."""
        return self.ground.suite or "no suite"

    @property
    def name(self) -> str:
        """The section in words that no other section has, for those who hear of it apart from what stands around it."""
        ground = self.ground
        facts = (
            self.title,
            ground.backbone,
            ground.protocol,
            ground.policy.replace("_", " "),
            ground.sizes or "all rows",
        )
        return f"{', '.join(facts)}, data seed {ground.data_seed}"

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Every choice of targets among the rows, those left out whose method has only one."""
        return tuple(sorted({row.targets for row in self.section.rows if not fixes_targets(row)} - {"none"}))

    def shows_targets(self, row: Row) -> bool:
        """Whether a row's targets tell it from others: several are chosen here, and its method takes more than one."""
        return len(self.targets) > 1 and row.targets != "none" and not fixes_targets(row)

    @cached_property
    def names(self) -> dict[Row, str]:
        """A name for each row that no other row has."""
        return names(self.section.rows)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Task to its column."""
        return {column.task: column for column in self.section.columns}

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """What competes at one budget, with its rankings."""
        return families(self.section, self.names)

    @cached_property
    def studies(self) -> dict[str, Study]:
        """Task to what it says of its entries."""
        common = entries_of(self.section, self.names, self.families)
        return {column.task: study(column, common) for column in self.section.columns}

    def anchor(self, row: Row) -> str:
        """Return the id of a row's line on the pages of tasks."""
        return anchor(self.ground, self.names[row])

    def link(self, row: Row, task: str) -> str:
        """Return the path of a row's line on a task's page."""
        return f"{paths.task(task)}#{self.anchor(row)}"

    def line(self, entry: Ranked, task: str) -> Line:
        """Return what a table shows of an entry on a task."""
        column, cell = self.columns[task], entry.cell
        scores = [score for run in cell.good if (score := run.score(task))]
        return Line(
            entry,
            anchor=self.anchor(entry.row),
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


def fixes_targets(row: Row) -> bool:
    """Return whether a row's method touches what its definition says, whatever a suite asks."""
    runs = (run for cell in row.cells.values() for run in cell.runs)
    return any(run.record.method_card.get("targets") for run in runs)
