"""Tabulation: runs grouped into sections, rows and cells, each cell with its number and its marks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.record import Record
from leaderboard.cells import DIRTY, NORMAL, Cell, Ground, Mode, Row, Section
from leaderboard.columns import Column, column_of, version_of
from leaderboard.grouping import Settings, asked, in_words, without_collisions
from leaderboard.load import Run
from leaderboard.measuring import Measured, measure

NOT_ENVIRONMENT = ("commit", "dirty", "runs_per_device")
"""Environment facts that differ between equal runs: code is compared by provenance digest instead, and runs that share
a device differ in cost alone."""


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
