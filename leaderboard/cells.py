"""Cells: one per scored task of a row (a method as asked), and rows in sections (what may be compared).

A section holds runs of one suite, backbone, protocol, split policy, data seed, and sizes of each task: all that must be
equal before two numbers may stand in one table. Only final runs are shown; trials are counted.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from leaderboard.columns import Column
from leaderboard.grouping import Settings
from leaderboard.load import Run
from leaderboard.statistics import Entry, Interval

OUTDATED = ("stale", "superseded", "earlier choice")
"""Beginnings of marks of numbers that today's code, cards or search would not give: shown, and never ranked."""
DIRTY = "dirty checkout"


class Mode(NamedTuple):
    """How strict a board is."""

    published: bool = False
    """Whether the world reads it: records of a dirty checkout and carved data are then kept out of the ranking."""


NORMAL, PUBLISHED = Mode(), Mode(published=True)


@dataclass(frozen=True)
class Cell:
    """The final runs of one row on one task."""

    task: str
    runs: tuple[Run, ...]
    """By seed."""
    seeds: tuple[int, ...]
    """Every seed of the section's runs on this task: what a whole cell has."""
    interval: Interval | None = None
    """Mean over the ok seeds; None where no run is ok or the metric is undefined on some seed."""
    entry: Entry | None = None
    """Per-item rows for paired comparisons."""
    marks: tuple[str, ...] = ()
    """What a reader must know before using the number: a few words, and after a colon the reason."""
    mode: Mode = NORMAL

    @cached_property
    def good(self) -> tuple[Run, ...]:
        """The runs that have a result."""
        return tuple(run for run in self.runs if run.record.status == "ok")

    @cached_property
    def bad(self) -> tuple[Run, ...]:
        """The runs that have none."""
        return tuple(run for run in self.runs if run.record.status != "ok")

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """The seeds that were not run."""
        return tuple(sorted(set(self.seeds) - {run.record.spec.seed for run in self.runs}))

    @cached_property
    def whole(self) -> bool:
        """Whether every seed has a result."""
        return {run.record.spec.seed for run in self.good} == set(self.seeds)

    @cached_property
    def comparable(self) -> bool:
        """Whether the number may be set against others."""
        return not obstacle(self)


def obstacle(cell: Cell) -> str:
    """Return why a cell may not be ranked, in a few words, or an empty text where it may: decided nowhere else."""
    if cell.interval is None:
        return "no number"
    outdated = [mark for mark in cell.marks if mark.startswith(OUTDATED)]
    if outdated:
        return outdated[0].split(":")[0]
    if cell.interval.num_seeds < 2:
        return "one seed"
    if not cell.whole:
        return f"{len(cell.good)} of {len(cell.seeds)} seeds"
    if cell.entry is None or not cell.interval.ranks:
        return cell.interval.basis
    if cell.mode.published and any(run.record.environment.get("dirty") for run in cell.good):
        return DIRTY
    if cell.mode.published and any(run.record.digests.data_state.get(cell.task) == "carved" for run in cell.good):
        return "carved data"
    return ""


@dataclass(frozen=True, eq=False)
class Row:
    """One method as it was asked for, on every task of a section."""

    method: str
    values: tuple[tuple[str, str], ...]
    budget: str
    targets: str
    settings: Settings
    """Settings in which this row differs from others of the same method, where it does."""
    trained: tuple[int, ...]
    """Different counts of trained scalars among the ok runs, ascending; empty where none is known."""
    cells: Mapping[str, Cell]
    mixed: tuple[str, ...]
    """Environment facts in which its runs differ."""

    @property
    def good(self) -> tuple[Run, ...]:
        """Its runs that have a result, each once, by run id."""
        runs = {run.run_id: run for cell in self.cells.values() for run in cell.good}
        return tuple(runs[run_id] for run_id in sorted(runs))

    @property
    def size(self) -> float | None:
        """Where the row stands on the axis of trained parameters."""
        return float(np.mean(self.trained)) if self.trained else None

    @property
    def label(self) -> str:
        """Method and what was asked of it, in one line."""
        details = [f"{key} {value}" for key, value in self.values]
        return " ".join([self.method, *details, *([self.budget] if self.budget else [])])


class Ground(NamedTuple):
    """What must be equal before two numbers may stand in one table."""

    suite: str
    backbone: str
    protocol: str
    policy: str
    sizes: str
    data_seed: int


def anchor(ground: Ground, name: str) -> str:
    """Return the id of a row's line on the pages of tasks, by its section and its name there."""
    text = "\n".join((*map(str, ground), name)).encode("utf-8", "surrogatepass")
    return base64.b32encode(hashlib.sha256(text).digest()[:5]).decode().lower()


@dataclass(frozen=True)
class Section:
    """Numbers that may stand in one table."""

    ground: Ground
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    trials: tuple[Run, ...] = field(compare=False)
    """The runs of searches, which have no row."""
    mixed: tuple[str, ...]
    """Environment facts in which its rows differ."""

    @property
    def num_trials(self) -> int:
        """How many runs of searches there are."""
        return len(self.trials)
