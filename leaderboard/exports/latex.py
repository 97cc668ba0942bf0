r"""Tables for papers: LaTeX with booktabs, one table for each few tasks of a section, of a task and of a method.

A cell is a mean with its 95 % interval and its letter group. Whatever keeps a number from being compared is marked and
named below the table, as on the page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from leaderboard import wording
from leaderboard.averages import Average, average, averages_of
from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column, Measure
from leaderboard.downloads import downloads_of, downloads_of_method, downloads_of_task
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site
from leaderboard.statistics import Interval
from leaderboard.tex import comment, escape

COLUMNS = 5
"""Tasks beside each other that still fit a page."""
ASIDE = r"\textsuperscript{*}"
"""Marks a number that is not compared with others."""
NOTHING = "---"
PERCENT = Measure("average", True, "%", None, None)


class _Part(NamedTuple):
    """One column of a table."""

    title: str
    unit: str
    texts: dict[Row, str]
    """Of the rows that were asked for it."""


def latex(sheet: Sheet) -> str:
    """Return a section as tables of a few tasks each."""
    return _tables(sheet, _parts(sheet), set(sheet.section.rows))


def _parts(sheet: Sheet) -> list[_Part]:
    """Return the columns of a section: its tasks in order, then its averages."""
    parts = [_of_task(sheet, column) for column in sheet.section.columns]
    return parts + [_of_average(sheet.section, mean) for mean in averages_of(sheet.section)]


def _tables(sheet: Sheet, parts: Sequence[_Part], rows: Set[Row]) -> str:
    ground = sheet.ground
    head = comment(f"Paretune board: {ground.suite or 'no suite'} on {ground.backbone}")
    head += comment("Needs booktabs; cells.csv has the numbers with all their digits.")
    groups = [parts[start : start + COLUMNS] for start in range(0, len(parts), COLUMNS)]
    return head + "\n".join(_table(sheet, group, rows) for group in groups)


def _of_task(sheet: Sheet, column: Column) -> _Part:
    texts: dict[Row, str] = {}
    for family in sheet.families:
        for row in family.rows:
            cell, place = row.cells[column.task], family.place(row, column.task)
            if cell.runs:
                texts[row] = _cell(cell, column, "".join(place.letters) if place else "")
    return _Part(column.task, wording.axis(column.measure), texts)


def _of_average(section: Section, mean: Average) -> _Part:
    found = {row: average(row.cells, mean) for row in section.rows}
    texts = {row: _number(interval, PERCENT) for row, interval in found.items() if interval}
    return _Part(f"{mean.name} average", f"of {len(mean.weights)} tasks", texts)


def _cell(cell: Cell, column: Column, letters: str) -> str:
    if cell.interval is None:
        return escape(", ".join(sorted({run.record.status.replace("_", " ") for run in cell.bad}))) or NOTHING
    mark = rf"\textsuperscript{{{letters}}}" if letters else "" if cell.comparable else ASIDE
    return _number(cell.interval, column.measure) + mark


def _number(interval: Interval, measure: Measure) -> str:
    bounds = wording.bounds(interval, measure).replace(wording.NO_BREAK, "~")
    plain = bounds.replace(wording.MINUS, "$-$")
    return escape(wording.number(interval.estimate, measure)) + (rf" {{\scriptsize {plain}}}" if plain else "")


def _table(sheet: Sheet, parts: Sequence[_Part], rows: Set[Row]) -> str:
    titles = " & ".join(["Method", "Trained", *(escape(part.title) for part in parts)])
    units = " & ".join(["", "parameters", *(rf"{{\footnotesize {escape(part.unit)}}}" for part in parts)])
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{_caption(sheet.section, parts, rows)}}}",
        rf"\begin{{tabular}}{{lr{'l' * len(parts)}}}",
        r"\toprule",
        rf"{titles} \\",
        rf"{units} \\",
        *_lines(sheet, parts, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _lines(sheet: Sheet, parts: Sequence[_Part], rows: Set[Row]) -> Iterator[str]:
    """Yield the lines of some entries, with a rule before each family."""
    for family in sheet.families:
        shown = [row for row in family.rows if row in rows]
        if shown:
            yield r"\midrule"
        for row in shown:
            size = escape(wording.counts(row.trained))
            texts = (part.texts.get(row, NOTHING) for part in parts)
            yield " & ".join([escape(sheet.names[row]), size, *texts]) + r" \\"


def _caption(section: Section, parts: Sequence[_Part], rows: Set[Row]) -> str:
    ground = section.ground
    facts = [ground.suite or "no suite", ground.backbone, ground.protocol, ground.policy.replace("_", " ")]
    facts += [f"rows at most: {ground.sizes}"] if ground.sizes else []
    text = escape("; ".join(facts)) + r". Mean over seeds with its 95\,\% interval."
    text += " Entries between two rules that share a letter are not told apart."
    if any(one.endswith(ASIDE) for part in parts for row, one in part.texts.items() if row in rows):
        text += rf" {ASIDE} Not compared with others; the column obstacle of cells.csv says why."
    return text


def pages(site: Site) -> Iterator[Page]:
    """Yield the tables of each section, task and method."""
    by_task: dict[str, list[str]] = defaultdict(list)
    by_method: dict[str, list[str]] = defaultdict(list)
    for sheet in site.sheets:
        section, parts = sheet.section, _parts(sheet)
        yield Page(dict(downloads_of(section))["LaTeX"], _tables(sheet, parts, set(section.rows)))
        for column, part in zip(section.columns, parts, strict=False):  # averages have no page
            by_task[column.task].append(_tables(sheet, [part], part.texts.keys()))
        for method in sorted({row.method for row in section.rows}):
            rows = {row for row in section.rows if row.method == method}
            by_method[method].append(_tables(sheet, [part for part in parts if rows & part.texts.keys()], rows))
    nothing = comment("No final run was scored.")
    for task in site.tasks:
        yield Page(dict(downloads_of_task(task))["LaTeX"], "\n".join(by_task[task]) or nothing)
    for method in site.methods:
        yield Page(dict(downloads_of_method(method))["LaTeX"], "\n".join(by_method[method]) or nothing)
