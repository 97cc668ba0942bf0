r"""Tables for papers: LaTeX with booktabs, one table for each few tasks of a section.

A cell is a mean with its 95 % interval and its letter group. Whatever keeps a number from being compared is marked and
named below the table, as on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from leaderboard import wording
from leaderboard.averages import Average, average, averages_of
from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column, Measure
from leaderboard.downloads import downloads_of
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site
from leaderboard.statistics import Interval
from leaderboard.tex import comment, escape

COLUMNS = 5
"""Tasks beside each other that still fit a page."""
ASIDE = r"\textsuperscript{*}"
"""Marks a number that is not compared with others."""
PERCENT = Measure("average", True, "%", None, None)


class _Part(NamedTuple):
    """One column of a table."""

    title: str
    unit: str
    texts: dict[Row, str]


def latex(sheet: Sheet) -> str:
    """Return a section as tables of a few tasks each."""
    ground = sheet.ground
    head = comment(f"Paretune board: {ground.suite or 'no suite'} on {ground.backbone}")
    head += comment("Needs booktabs; cells.csv has the numbers with all their digits.")
    parts = [_of_task(sheet, column) for column in sheet.section.columns]
    parts += [_of_average(sheet.section, mean) for mean in averages_of(sheet.section)]
    groups = [parts[start : start + COLUMNS] for start in range(0, len(parts), COLUMNS)]
    return head + "\n".join(_table(sheet, group) for group in groups)


def _of_task(sheet: Sheet, column: Column) -> _Part:
    texts: dict[Row, str] = {}
    for family in sheet.families:
        for row in family.rows:
            place = family.place(row, column.task)
            texts[row] = _cell(row.cells[column.task], column, "".join(place.letters) if place else "")
    return _Part(column.task, wording.axis(column.measure), texts)


def _of_average(section: Section, mean: Average) -> _Part:
    found = {row: average(row.cells, mean) for row in section.rows}
    texts = {row: _number(interval, PERCENT) if interval else "---" for row, interval in found.items()}
    return _Part(f"{mean.name} average", f"of {len(mean.weights)} tasks", texts)


def _cell(cell: Cell, column: Column, letters: str) -> str:
    if cell.interval is None:
        return escape(", ".join(sorted({run.record.status.replace("_", " ") for run in cell.bad}))) or "---"
    mark = rf"\textsuperscript{{{letters}}}" if letters else "" if cell.comparable else ASIDE
    return _number(cell.interval, column.measure) + mark


def _number(interval: Interval, measure: Measure) -> str:
    bounds = wording.bounds(interval, measure).replace(wording.NO_BREAK, "~")
    plain = bounds.replace(wording.MINUS, "$-$")
    return escape(wording.number(interval.estimate, measure)) + (rf" {{\scriptsize {plain}}}" if plain else "")


def _table(sheet: Sheet, parts: Sequence[_Part]) -> str:
    titles = " & ".join(["Method", "Trained", *(escape(part.title) for part in parts)])
    units = " & ".join(["", "parameters", *(rf"{{\footnotesize {escape(part.unit)}}}" for part in parts)])
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{_caption(sheet.section, parts)}}}",
        rf"\begin{{tabular}}{{lr{'l' * len(parts)}}}",
        r"\toprule",
        rf"{titles} \\",
        rf"{units} \\",
        *_rows(sheet, parts),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(sheet: Sheet, parts: Sequence[_Part]) -> Iterator[str]:
    """Yield the lines of all entries, with a rule before each family."""
    for family in sheet.families:
        yield r"\midrule"
        for row in family.rows:
            size = escape(wording.counts(row.trained))
            yield " & ".join([escape(sheet.names[row]), size, *(part.texts[row] for part in parts)]) + r" \\"


def _caption(section: Section, parts: Sequence[_Part]) -> str:
    ground = section.ground
    facts = [ground.suite or "no suite", ground.backbone, ground.protocol, ground.policy.replace("_", " ")]
    facts += [f"rows at most: {ground.sizes}"] if ground.sizes else []
    text = escape("; ".join(facts)) + r". Mean over seeds with its 95\,\% interval."
    text += " Entries between two rules that share a letter are not told apart."
    if any(one.endswith(ASIDE) for part in parts for one in part.texts.values()):
        text += rf" {ASIDE} Not compared with others; the column obstacle of cells.csv says why."
    return text


def pages(site: Site) -> Iterator[Page]:
    """Yield the tables of each section."""
    for sheet in site.sheets:
        yield Page(dict(downloads_of(sheet.section))["LaTeX"], latex(sheet))
