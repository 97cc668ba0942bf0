"""Cells as they stand on the pages: CSV of everything; CSV and JSON of each section, task and method."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness.spec import Spec
from leaderboard.averages import average, averages_of
from leaderboard.cells import Cell, Row, Section, obstacle
from leaderboard.columns import Column
from leaderboard.downloads import Link, downloads_of, downloads_of_method, downloads_of_task
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site
from leaderboard.spreadsheet import table
from leaderboard.statistics import Interval

FIELDS = (
    "suite", "backbone", "protocol", "policy", "sizes", "data_seed", "method", "values", "budget", "targets",
    "settings", "trained", "task", "metric", "mean", "low", "high", "interval", "seeds", "seeds_asked", "items",
    "compared", "obstacle", "letters", "marks",
)  # fmt: skip

Line = dict[str, object]
"""Field to value: texts, numbers, lists and mappings; unknown is absent."""


def asked(spec: Spec) -> dict[str, str]:
    """Return the method as it was asked for, written alike in all tables."""
    return {
        "method": spec.method,
        "values": json.dumps(dict(spec.values), sort_keys=True),
        "budget": str(spec.budget) if spec.budget else "",
        "targets": spec.targets if isinstance(spec.targets, str) else " ".join(spec.targets),
    }


def lines(sheet: Sheet) -> Iterator[Line]:
    """Yield one line per cell and average of a section, scores unscaled."""
    section, means = sheet.section, averages_of(sheet.section)
    family_of = {row: family for family in sheet.families for row in family.rows}
    for row in section.rows:
        shared = {**section.ground._asdict(), **_of_row(row)}
        for column in section.columns:
            place = family_of[row].place(row, column.task)
            yield {**shared, **_of_cell(row.cells[column.task], column, "".join(place.letters) if place else "")}
        for mean in means:
            found = average(row.cells, mean)
            numbers = _numbers(found) if found else {}
            yield {**shared, "task": f"{mean.name} average", "metric": "average", **numbers, "compared": False}


def _of_row(row: Row) -> Line:
    spec = next(run.record.spec for cell in row.cells.values() for run in cell.runs)
    values = {"values": dict(spec.values), "settings": dict(row.settings), "trained": list(row.trained)}
    return {**asked(spec), **values}


def _of_cell(cell: Cell, column: Column, letters: str) -> Line:
    return {
        "task": column.task,
        "metric": column.measure.name,
        **(_numbers(cell.interval) if cell.interval else {}),
        "seeds": [run.record.spec.seed for run in cell.good],
        "seeds_asked": list(cell.seeds),
        "compared": cell.comparable,
        "obstacle": obstacle(cell) or None,
        "letters": letters or None,
        "marks": list(cell.marks),
    }


def _numbers(interval: Interval) -> Line:
    bounds = {"low": interval.low, "high": interval.high}
    return {"mean": interval.estimate, **bounds, "interval": interval.basis, "items": interval.num_items or None}


def cells_csv(of: Iterable[Line]) -> str:
    """Return lines as CSV; unknown is empty."""
    return table(FIELDS, ({name: _flat(name, value) for name, value in line.items()} for line in of))


def _flat(name: str, value: object) -> object:
    if isinstance(value, list):
        return ("; " if name == "marks" else " ").join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value


def cells_json(section: Section, of: Iterable[Line]) -> str:
    """Return some cells of a section as JSON, one on a line; unknown is null.

    Before them stands what they share and what the columns measure in which they stand.
    """
    shared = section.ground._asdict()
    cells = [{name: line.get(name) for name in FIELDS if name not in shared} for line in of]
    tasks = {cell["task"] for cell in cells}
    columns = [
        {"task": column.task, "title": column.title, **column.measure._asdict(), "version": column.version}
        for column in section.columns
        if column.task in tasks
    ]
    head = f'"ground": {json.dumps(shared)},\n"columns": {_listed(columns)}'
    return f'{{{head},\n"cells": {_listed(cells)}}}\n'


def _listed(items: Iterable[object]) -> str:
    texts = (json.dumps(item, allow_nan=False) for item in items)
    return "[\n" + ",\n".join(texts) + "\n]"


def _parted(found: Iterable[Line], by: str) -> dict[str, list[Line]]:
    parts: dict[str, list[Line]] = defaultdict(list)
    for line in found:
        parts[str(line[by])].append(line)
    return parts


Parts = list[tuple[Section, list[Line]]]
"""What each section says of one task or method."""


def _files(links: Iterable[Link], parts: Parts) -> Iterator[Page]:
    """Yield the CSV and the JSON of a task or method over all sections."""
    places = dict(links)
    yield Page(places["CSV"], cells_csv(line for _, part in parts for line in part))
    sections = ",\n".join(cells_json(section, part) for section, part in parts)
    yield Page(places["JSON"], f'{{"sections": [\n{sections}\n]}}\n')


def pages(site: Site) -> Iterator[Page]:
    """Yield the cells of each section, task and method, and of all."""
    every: list[Line] = []
    by_task: dict[str, Parts] = defaultdict(list)
    by_method: dict[str, Parts] = defaultdict(list)
    for sheet in site.sheets:
        section, found = sheet.section, list(lines(sheet))
        every += found
        for by, parts in (("task", by_task), ("method", by_method)):
            for name, part in _parted(found, by).items():
                parts[name].append((section, part))
        places = dict(downloads_of(section))
        yield Page(places["CSV"], cells_csv(found))
        yield Page(places["JSON"], cells_json(section, found))
    yield Page("cells.csv", cells_csv(every))
    for task in site.tasks:
        yield from _files(downloads_of_task(task), by_task[task])
    for method in site.methods:
        yield from _files(downloads_of_method(method), by_method[method])
