"""The compare pages: a basket for two to four entries, a plain table per section, and the pairs that both show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leaderboard import gaps, pairs, paths, wording
from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Measure
from leaderboard.downloads import downloads_of_gaps
from leaderboard.duels import Duel, Pair
from leaderboard.pages import index
from leaderboard.pairs import OfSection, OfTask
from leaderboard.rendering import render
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site
from leaderboard.statistics import Interval

AVERAGE = Measure("average", True, "%", None, None)
"""How averages of scores between 0 and 1 are shown."""
Json = dict[str, Any]
"""An object of the data file (Any: JSON values)."""


def pages(site: Site) -> Iterator[Page]:
    """Yield the basket, and for each section with entries its plain table and its data."""
    shown = index.places_of(site)
    sheets = [sheet for sheet in site.sheets if sheet.section.rows]
    sections = [sheet.section for sheet in sheets]
    listed = [{"id": pairs.section_id(one), "name": title(one), "data": pairs.data_path(one)} for one in sections]
    values = {"sections": sections, "pairs": pairs, "shown": shown, "listed": json.dumps(listed)}
    yield Page(paths.COMPARE, render("compare.html", paths.COMPARE, section=None, **values))
    for sheet, section in zip(sheets, sections, strict=True):
        found, path = pairs.pairs_of(section), pairs.plain_path(section)
        yield Page(pairs.data_path(section), data_of(sheet, found))
        gaps_found, places = list(gaps.lines(section, found)), dict(downloads_of_gaps(section))
        yield Page(places["CSV"], gaps.to_csv(gaps_found))
        yield Page(places["JSON"], gaps.to_json(section, gaps_found))
        plain = {
            "section": section,
            "found": found,
            "rows": plain_rows(section, found),
            "rule": pairs.RULE,
            "best": gaps.BEST,
        }
        yield Page(path, render("compare.html", path, **plain, shown=shown[section], title=title(section)))


def title(section: Section) -> str:
    """Return what a section is called where several are listed."""
    ground = section.ground
    return f"{ground.suite or 'no suite'}: {ground.backbone}, {ground.protocol}, {ground.policy.replace('_', ' ')}"


def script_json(content: object) -> str:
    """Return JSON that can stand in a script, in a file or in a page: nothing in it ends an element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def plain_rows(section: Section, found: OfSection) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    """Yield name, size and cells of each entry: its difference from the best, interval, items won and lost, note."""
    for place, row in enumerate(section.rows):
        cells = [_plain_cell(place, task, row.cells[task.column.task]) for task in found.tasks]
        yield found.field.names[row], wording.counts(row.trained), cells


def _plain_cell(place: int, task: OfTask, cell: Cell) -> tuple[str, ...]:
    measure = task.column.measure
    if place in task.refused:
        return ("—", task.refused[place], "", "")
    if place == task.best and cell.interval is not None:
        return (
            wording.number(cell.interval.estimate, measure),
            wording.bounds(cell.interval, measure),
            "",
            gaps.BEST,
        )
    duel = None if task.best is None else task.between(place, task.best)
    if duel is None:
        return ("—", gaps.NOTHING_SHARED, "", "")
    gap = duel.difference
    items = "" if duel.won is None else f"{wording.count(duel.won)} won, {wording.count(duel.lost)} lost"
    bounds = wording.bounds(gap, measure) or f"no interval: {gap.basis}"
    return (wording.number(gap.estimate, measure), bounds, items, pairs.caveat(cell))


def data_of(sheet: Sheet, found: OfSection) -> str:
    """Return the script that hands the pairs of a section to the page; it holds data and nothing else."""
    section, rows = sheet.section, sheet.section.rows
    content: Json = {
        "id": pairs.section_id(section),
        "name": title(section),
        "complete": found.complete,
        "rule": "" if found.complete else pairs.RULE,
        "entries": [
            {
                "id": pairs.entry_id(row),
                "name": found.field.names[row],
                "size": wording.counts(row.trained),
                "page": paths.method(row.method),
            }
            for row in rows
        ],
        "tasks": [
            {**_task(task, [row.cells[task.column.task] for row in rows]), "letters": _letters(sheet, task.column.task)}
            for task in found.tasks
        ],
        "averages": [_average(mean.name, mean.title, differences) for mean, differences in found.averages],
    }
    return f"(self.paretunePairs ||= []).push({script_json(content)});\n"


def _task(task: OfTask, cells: Sequence[Cell]) -> Json:
    measure = task.column.measure
    lines = {pair: (duel.difference, duel) for pair, duel in task.duels.items()}
    return {
        "name": task.column.task,
        "page": paths.task(task.column.task),
        "metric": wording.axis(measure),
        "higher": measure.higher_is_better,
        "means": [None if cell.interval is None else _numbers(cell.interval, measure) for cell in cells],
        "notes": [task.refused.get(place) or pairs.caveat(cell) for place, cell in enumerate(cells)],
        **_lines(lines, measure),
    }


def _letters(sheet: Sheet, task: str) -> list[Json | None]:
    """Return each row's letters on the board and the budget that they are of; nothing for a row that has none."""
    found: dict[Row, Json] = {
        row: {"budget": number, "letters": place.letters}
        for number, family in enumerate(sheet.families)
        for row in family.rows
        if (place := family.place(row, task)) and place.letters
    }
    return [found.get(row) for row in sheet.section.rows]


def _average(name: str, of: str, differences: Mapping[Pair, Interval]) -> Json:
    lines = {pair: (difference, Duel(difference, None, None)) for pair, difference in differences.items()}
    return {"name": f"{name} average", "title": of, "metric": "x 100", "higher": True, **_lines(lines, AVERAGE)}


def _lines(duels: Mapping[Pair, tuple[Interval, Duel]], measure: Measure) -> Json:
    """Return pairs as [first, second, difference, low, high, p, won, lost, number of its ground]."""
    grounds: dict[tuple[int, int, str], int] = {}
    lines = []
    for (first, second), (gap, duel) in sorted(duels.items()):
        ground = grounds.setdefault((gap.num_seeds, gap.num_items, gap.basis), len(grounds))
        p_value = None if gap.p_value is None else round(gap.p_value, 4)
        lines.append([first, second, *_numbers(gap, measure), p_value, duel.won, duel.lost, ground])
    return {
        "decimals": wording.decimals(measure),
        "scale": measure.scale,
        "grounds": [list(one) for one in grounds],
        "pairs": lines,
    }


def _numbers(interval: Interval, measure: Measure) -> list[float | None]:
    digits = wording.decimals(measure) + 2
    values = (interval.estimate, interval.low, interval.high)
    return [None if value is None else round(value * measure.scale, digits) for value in values]
