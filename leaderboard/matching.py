"""Matching: the cells of two sets of records that may be compared, and why the others may not.

A cell is what a method, as it was asked for, gave on one task: suite, backbone, protocol, policy, sizes and data seed
must be equal, and so must the test items. How it was trained may differ: that is what a comparison asks about.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leaderboard.cells import Cell, Ground, Row, obstacle
from leaderboard.columns import Column
from leaderboard.grouping import asked
from leaderboard.load import Run
from leaderboard.statistics import ALL_AGREE, Entry
from leaderboard.tabulation import differing, tabulate

Key = tuple[Ground, str, str]
"""Ground, the method as asked for, and task: what makes two cells the same one."""


class Placed(NamedTuple):
    """A cell and where it stands."""

    cell: Cell
    column: Column
    row: Row
    ground: Ground

    @property
    def group(self) -> str:
        """What it shares with the other cells of its table."""
        parts = [self.ground.backbone, self.ground.protocol, self.ground.policy, self.ground.sizes]
        parts += [f"data seed {self.ground.data_seed}"] if self.ground.data_seed else []
        return f"{self.ground.suite}: {', '.join(part for part in parts if part)}"

    @property
    def name(self) -> str:
        """What it is called within its group."""
        settings = [f"{name} {value}" for name, value in self.row.settings]
        return ", ".join([self.cell.task, self.row.label, self.row.targets, *settings])

    @property
    def results(self) -> dict[int, tuple[str, str | None]]:
        """Seed to run id and digest of the items of each ok run."""
        return {run.record.spec.seed: result_of(run) for run in self.cell.good}


def result_of(run: Run) -> tuple[str, str | None]:
    """Return what tells one result from another: run id and digest of the items."""
    return run.run_id, run.record.digests.items


class Found(NamedTuple):
    """The cells of some records."""

    cells: Mapping[Key, Placed]
    unreadable: list[str]


def cells_of(runs: Iterable[Run], stale: Mapping[str, str]) -> Found:
    """Return every cell of some runs; which others lie beside it changes nothing about its key."""
    by_sizes: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_sizes[run.record.spec.sizes.model_dump_json()].append(run)
    cells: dict[Key, Placed] = {}
    unreadable: list[str] = []
    for part in by_sizes.values():
        table = tabulate(part, stale)
        unreadable += table.unreadable
        for section in table.sections:
            for row in section.rows:
                for column in section.columns:
                    if (cell := row.cells[column.task]).runs:
                        method = json.dumps([asked(cell.runs[0].record.spec), *row.settings])
                        cells[section.ground, method, column.task] = Placed(cell, column, row, section.ground)
    return Found(cells, unreadable)


@dataclass(frozen=True)
class Match:
    """One cell on both sides, or on one."""

    key: Key
    base: Placed | None
    new: Placed | None

    @property
    def either(self) -> Placed:
        """The cell on the side that has it, the new one first."""
        found = self.new or self.base
        assert found is not None
        return found

    @property
    def same(self) -> bool:
        """Whether both sides are made of the very same results."""
        return self.base is not None and self.new is not None and self.base.results == self.new.results

    @property
    def never_applied(self) -> bool:
        """Whether the method cannot be had there at this budget, on either side: nothing was promised."""
        sides = [side for side in (self.base, self.new) if side is not None]
        statuses = {run.record.status for side in sides for run in side.cell.runs}
        return len(sides) == 2 and statuses == {"not_applicable"}

    @property
    def mixed(self) -> tuple[str, ...]:
        """Environment facts in which the two sides differ."""
        sides = [side for side in (self.base, self.new) if side is not None]
        return differing(run.record for side in sides for run in side.cell.good)

    def lack(self) -> str:
        """Return why the two cannot be compared, or nothing."""
        if self.base is None or self.new is None:
            return "missing: only the baseline has it" if self.new is None else "extra: the baseline has no such cell"
        for side, which in ((self.base, "the baseline"), (self.new, "the new records")):
            if why := _lack(side.cell):
                return f"{why} in {which}"
        return _facts(self.base.column, self.new.column) or _seeds(self.base, self.new) or _items(self.base, self.new)

    def sides(self) -> tuple[Entry, Entry]:
        """Return the rows of both sides on the baseline's seeds and the same items."""
        assert self.base is not None
        assert self.new is not None
        old, new = self.base.cell.entry, self.new.cell.entry
        assert old is not None
        assert new is not None
        seeds = sorted(old.rows)
        return old.part(seeds, new.item_ids), new.part(seeds, new.item_ids)


def _lack(cell: Cell) -> str:
    """Return why one side has no usable number, or nothing."""
    if not cell.good:
        return ", ".join(sorted({run.record.status.replace("_", " ") for run in cell.bad}))
    why = obstacle(cell)
    if why in ("", ALL_AGREE):
        return "" if cell.entry is not None and np.isfinite(cell.entry.units).all() else "no number"
    bad = sorted({run.record.status.replace("_", " ") for run in cell.bad})
    reasons = bad or [mark.partition(": ")[2] for mark in cell.marks if mark.startswith(f"{why}: ")]
    return f"{why} ({', '.join(reasons)})" if reasons else why


def _facts(base: Column, new: Column) -> str:
    if base.measure.name != new.measure.name:
        return f"the metric was {base.measure.name} and is {new.measure.name}"
    if base.version != new.version:
        return f"the version of the task was {base.version} and is {new.version}"
    return ""


def _seeds(base: Placed, new: Placed) -> str:
    """Return whether the new records lack seeds of the baseline; more are no harm."""
    lacking = sorted(base.results.keys() - new.results.keys())
    return f"seeds {', '.join(map(str, lacking))} of the baseline were not run" if lacking else ""


def _items(base: Placed, new: Placed) -> str:
    old, now = base.cell.entry, new.cell.entry
    assert old is not None
    assert now is not None
    gone, added = (len(set(one) - set(other)) for one, other in _both_ways(old.item_ids, now.item_ids))
    if gone or added:
        return f"items differ: of {len(old.item_ids):,} of the baseline {gone:,} are gone, {added:,} are new"
    digests = {
        score.items_digest for side in (base, new) for run in side.cell.good if (score := run.score(side.cell.task))
    }
    if len(digests) > 1 and old.item_ids == now.item_ids:
        return "items differ: the same ones have other references"
    return ""


def _both_ways(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    return (old, new), (new, old)


def match(base: Mapping[Key, Placed], new: Mapping[Key, Placed]) -> list[Match]:
    """Return all cells of both sides, in the order of their keys."""
    return [Match(key, base.get(key), new.get(key)) for key in sorted({*base, *new})]
