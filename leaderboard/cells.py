"""Cells: runs grouped into sections (what may be compared), rows (a method as asked), and one cell per scored task.

A section holds runs of one suite, backbone, protocol, split policy, data seed, and sizes of each task: all that must be
equal before two numbers may stand in one table. Only final runs are shown; trials are counted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness.record import Record
from leaderboard.columns import Column, column_of, version_of
from leaderboard.grouping import Settings, asked, in_words, without_collisions
from leaderboard.load import Run
from leaderboard.measuring import Measured, measure
from leaderboard.statistics import Entry, Interval

OUTDATED = ("stale", "superseded", "earlier choice")
"""Beginnings of marks of numbers that today's code, cards or search would not give: shown, and never ranked."""
DIRTY = "dirty checkout"
NOT_ENVIRONMENT = ("commit", "dirty", "runs_per_device")
"""Environment facts that differ between equal runs: code is compared by provenance digest instead, and runs that share
a device differ in cost alone."""


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


class _Judgement(NamedTuple):
    stale: Mapping[str, str]
    mode: Mode


class Table(NamedTuple):
    """All sections, and what was found unusable while reading items."""

    sections: tuple[Section, ...]
    unreadable: list[str]


def tabulate(runs: Iterable[Run], stale: Mapping[str, str], mode: Mode = NORMAL) -> Table:
    """Group runs into sections; ``stale`` maps run ids to the reason why they are not today's result."""
    together: dict[Ground, list[Run]] = defaultdict(list)
    for run in runs:
        spec = run.record.spec
        for suite in run.suites:
            together[Ground(suite, spec.backbone, spec.protocol, spec.policy, "", spec.data_seed)].append(run)
    grouped = {ground: part for key, group in together.items() for ground, part in _by_sizes(key, group).items()}
    bare = [_section(key, grouped[key], _Judgement(stale, mode)) for key in sorted(grouped)]
    rows = [(row, section.columns) for section in bare for row in section.rows]
    measured = measure([[(column, row.cells[column.task].good) for column in columns] for row, columns in rows])
    whole = {row: _with_numbers(row, numbers) for (row, _), numbers in zip(rows, measured, strict=True)}
    unreadable = {one.unreadable for numbers in measured for one in numbers if one and one.unreadable}
    sections = tuple(replace(section, rows=tuple(whole[row] for row in section.rows)) for section in bare)
    return Table(sections, sorted(unreadable))


def _with_numbers(row: Row, numbers: Sequence[Measured | None]) -> Row:
    cells = {
        task: replace(cell, interval=one.interval, entry=one.entry) if one else cell
        for (task, cell), one in zip(row.cells.items(), numbers, strict=True)
    }
    return replace(row, cells=cells)


def _by_sizes(ground: Ground, runs: Sequence[Run]) -> dict[Ground, list[Run]]:
    """Split runs by their sizes where one task has several; sizes that only differ between tasks share a table."""
    parts: dict[str, list[Run]] = defaultdict(list)
    of_task: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        sizes = run.record.spec.sizes.model_dump().items()
        words = ", ".join(f"{name} {size:,}" for name, size in sizes if size is not None)
        parts[words].append(run)
        for task in run.record.spec.score:
            of_task[task].add(words)
    if len(parts) > 1 and all(len(words) == 1 for words in of_task.values()):
        return {ground._replace(sizes="differ by task, see the runs"): list(runs)}
    return {ground._replace(sizes=words): part for words, part in parts.items()}


def _section(key: Ground, runs: Sequence[Run], judgement: _Judgement) -> Section:
    """Return a section whose cells have no numbers yet."""
    finals = [run for run in runs if run.record.spec.purpose == "final"]
    columns = tuple(
        column_of(task, finals) for task in sorted({task for run in finals for task in run.record.spec.score})
    )
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in finals:
        groups[asked(run.record.spec)].append(run)
    rows: list[Row] = []
    for group in groups.values():
        for settings, part in without_collisions(group):
            cells = {column.task: _cell(column, part, judgement) for column in columns}
            rows.append(_row(part, settings, cells))
    rows.sort(key=lambda row: (row.size is None, row.size or 0.0, row.label, row.targets, row.settings))
    mixed = differing(run.record for run in finals if run.record.status == "ok")
    trials = tuple(run for run in runs if run.record.spec.purpose == "trial")
    return Section(key, columns, tuple(rows), trials, mixed)


def _row(runs: Sequence[Run], settings: Settings, cells: Mapping[str, Cell]) -> Row:
    spec = runs[0].record.spec
    counts = {run.record.counts.trained for run in runs if run.record.counts and run.record.status == "ok"}
    return Row(
        method=spec.method,
        values=tuple((name, in_words(value)) for name, value in sorted(spec.values.items())),
        budget=str(spec.budget) if spec.budget else "",
        targets=spec.targets if isinstance(spec.targets, str) else ", ".join(spec.targets),
        settings=settings,
        trained=tuple(sorted(counts)),
        cells=cells,
        mixed=differing(run.record for run in runs if run.record.status == "ok"),
    )


def _cell(column: Column, row_runs: Sequence[Run], judgement: _Judgement) -> Cell:
    chosen = (run for run in row_runs if column.task in run.record.spec.score)
    runs = tuple(sorted(chosen, key=lambda run: run.record.spec.seed))
    marks = _marks(column, runs, judgement.stale)
    return Cell(column.task, runs, column.seeds, marks=marks, mode=judgement.mode)


def _marks(column: Column, runs: Sequence[Run], stale: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = sorted({f"stale: {stale[run.run_id]}" for run in runs if run.run_id in stale})
    versions = {version_of(run.record.task_cards.get(column.task, {})) for run in runs} - {None, column.version}
    found += [f"superseded: task version {version}, newest {column.version}" for version in sorted(map(str, versions))]
    states = {run.record.digests.data_state.get(column.task, "") for run in runs if run.record.status == "ok"}
    if len(column.states) > 1:
        found += [f"{state} data" for state in sorted(states - {"", "complete"})]
    if any(run.record.environment.get("dirty") for run in runs):
        found.append(f"{DIRTY}: its code was changed and not committed")
    return tuple(found)


def differing(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the environment facts (versions, device, threads) in which records differ."""
    texts = {json.dumps(record.environment, sort_keys=True): record.environment for record in records}
    flat: list[dict[str, str]] = []
    for environment in texts.values():  # thousands of records share a handful
        facts = {**environment}
        versions = facts.pop("versions", None)
        facts |= versions if isinstance(versions, dict) else {}
        flat.append(
            {name: json.dumps(value, sort_keys=True) for name, value in facts.items() if name not in NOT_ENVIRONMENT}
        )
    names = {name for facts in flat for name in facts}
    return tuple(sorted(name for name in names if len({facts.get(name) for facts in flat}) > 1))
