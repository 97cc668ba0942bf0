"""Cells: runs grouped into sections (what may be compared), rows (a method as asked), and one cell per scored task.

A section holds runs of one suite, backbone, protocol, split policy, data seed, and sizes of each task: all that must be
equal before two numbers may stand in one table. Only final runs are shown; trials are counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from harness.record import Record, UnreadableRecord
from harness.spec import Spec
from leaderboard.columns import Column, column_of, headline, version_of
from leaderboard.load import Run, read_entry
from leaderboard.statistics import Entry, Interval, score_interval

SETTINGS = ("train", "score", "options", "training", "threads")
"""Fields of a spec that usually are equal or follow the method; rows split by them where they would collide."""
NOT_ENVIRONMENT = ("commit", "dirty", "runs_per_device")
"""Environment facts that differ between equal runs: code is compared by provenance digest instead, and runs that share
a device differ in cost alone."""


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
    """What a reader must know before using the number."""

    @property
    def good(self) -> tuple[Run, ...]:
        """The runs that have a result."""
        return tuple(run for run in self.runs if run.record.status == "ok")

    @property
    def bad(self) -> tuple[Run, ...]:
        """The runs that have none."""
        return tuple(run for run in self.runs if run.record.status != "ok")

    @property
    def missing(self) -> tuple[int, ...]:
        """The seeds that were not run."""
        return tuple(sorted(set(self.seeds) - {run.record.spec.seed for run in self.runs}))

    @property
    def whole(self) -> bool:
        """Whether every seed has a result."""
        return {run.record.spec.seed for run in self.good} == set(self.seeds)

    @property
    def comparable(self) -> bool:
        """Whether the number may be set against others: every seed and several, items at hand, nothing outdated."""
        outdated = any(mark.startswith(("stale", "superseded")) for mark in self.marks)
        ranks = self.entry is not None and self.interval is not None and self.interval.ranks
        return ranks and self.whole and not outdated


@dataclass(frozen=True, eq=False)
class Row:
    """One method as it was asked for, on every task of a section."""

    method: str
    values: tuple[tuple[str, str], ...]
    budget: str
    targets: str
    settings: tuple[tuple[str, str], ...]
    """Settings in which this row differs from others of the same method, where it does."""
    trained: tuple[int, ...]
    """Different counts of trained scalars among the ok runs, ascending; empty where none is known."""
    cells: Mapping[str, Cell]
    mixed: tuple[str, ...]
    """Environment facts in which its runs differ."""

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


class Table(NamedTuple):
    """All sections, and what was found unusable while reading items."""

    sections: tuple[Section, ...]
    unreadable: list[str]


def tabulate(runs: Iterable[Run], stale: Mapping[str, str]) -> Table:
    """Group runs into sections; ``stale`` maps run ids to the reason why they are not today's result."""
    together: dict[Ground, list[Run]] = defaultdict(list)
    for run in runs:
        spec = run.record.spec
        for suite in run.suites:
            together[Ground(suite, spec.backbone, spec.protocol, spec.policy, "", spec.data_seed)].append(run)
    grouped = {ground: part for key, group in together.items() for ground, part in _by_sizes(key, group).items()}
    unreadable: set[str] = set()
    sections = tuple(_section(key, grouped[key], stale, unreadable) for key in sorted(grouped))
    return Table(sections, sorted(unreadable))


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


def _section(key: Ground, runs: Sequence[Run], stale: Mapping[str, str], unreadable: set[str]) -> Section:
    finals = [run for run in runs if run.record.spec.purpose == "final"]
    columns = tuple(
        column_of(task, finals) for task in sorted({task for run in finals for task in run.record.spec.score})
    )
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in finals:
        groups[_asked(run.record.spec)].append(run)
    rows: list[Row] = []
    for group in groups.values():
        for settings, part in _without_collisions(group):
            cells = {column.task: _cell(column, part, stale, unreadable) for column in columns}
            rows.append(_row(part, settings, cells))
    rows.sort(key=lambda row: (row.size is None, row.size or 0.0, row.label, row.targets, row.settings))
    mixed = differing(run.record for run in finals if run.record.status == "ok")
    trials = tuple(run for run in runs if run.record.spec.purpose == "trial")
    return Section(key, columns, tuple(rows), trials, mixed)


def _asked(spec: Spec) -> str:
    fields = spec.model_dump(mode="json", include={"method", "values", "budget", "targets"})
    return json.dumps(fields, sort_keys=True)


def _without_collisions(runs: Sequence[Run]) -> list[tuple[tuple[tuple[str, str], ...], list[Run]]]:
    """Split a row by its settings where otherwise two runs of one seed and task would share a cell."""
    every = {run.run_id: _settings(run.record.spec) for run in runs}
    places: dict[tuple[int, str], list[str]] = defaultdict(list)
    for run in runs:
        for task in run.record.spec.score:
            places[run.record.spec.seed, task].append(run.run_id)
    differ: set[str] = set()
    for sharing in places.values():
        first = every[sharing[0]]
        differ |= {name for other in sharing[1:] for name in first if every[other][name] != first[name]}
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple((name, _words(every[run.run_id][name])) for name in sorted(differ))].append(run)
    return sorted(groups.items(), key=lambda pair: pair[0])


def _settings(spec: Spec) -> dict[str, Any]:  # Any: JSON values
    fields = spec.model_dump(mode="json", include=set(SETTINGS))
    return {**fields.pop("training"), **fields}


def _words(value: Any) -> str:  # Any: a JSON value
    return value if isinstance(value, str) else json.dumps(value)


def _row(runs: Sequence[Run], settings: tuple[tuple[str, str], ...], cells: Mapping[str, Cell]) -> Row:
    spec = runs[0].record.spec
    counts = {run.record.counts.trained for run in runs if run.record.counts and run.record.status == "ok"}
    return Row(
        method=spec.method,
        values=tuple((name, _words(value)) for name, value in sorted(spec.values.items())),
        budget=str(spec.budget) if spec.budget else "",
        targets=spec.targets if isinstance(spec.targets, str) else ", ".join(spec.targets),
        settings=settings,
        trained=tuple(sorted(counts)),
        cells=cells,
        mixed=differing(run.record for run in runs if run.record.status == "ok"),
    )


def _cell(column: Column, row_runs: Sequence[Run], stale: Mapping[str, str], unreadable: set[str]) -> Cell:
    chosen = sorted(
        (run for run in row_runs if column.task in run.record.spec.score), key=lambda run: run.record.spec.seed
    )
    runs = tuple(chosen)
    marks = _marks(column, runs, stale)
    good = [run for run in runs if run.record.status == "ok"]
    values = [value for run in good if (value := headline(run, column)) is not None]
    if not good or len(values) != len(good):
        return Cell(column.task, runs, column.seeds, marks=marks)
    mean = float(np.mean(values))
    try:
        entry = read_entry(good, column.task, column.measure.name)
    except UnreadableRecord as error:
        unreadable.add(str(error))
        interval = Interval(mean, None, None, len(good), 0, "its items cannot be read")
        return Cell(column.task, runs, column.seeds, interval, marks=marks)
    return Cell(column.task, runs, column.seeds, column.measure.within(score_interval(entry)), entry, marks)


def _marks(column: Column, runs: Sequence[Run], stale: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = sorted({f"stale: {stale[run.run_id]}" for run in runs if run.run_id in stale})
    versions = {version_of(run.record.task_cards.get(column.task, {})) for run in runs} - {None, column.version}
    found += [f"superseded: task version {version}, newest {column.version}" for version in sorted(map(str, versions))]
    states = {run.record.digests.data_state.get(column.task, "") for run in runs if run.record.status == "ok"}
    if len(column.states) > 1:
        found += [f"data {state}" for state in sorted(states - {"", "complete"})]
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
