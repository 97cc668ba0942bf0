"""The large table of a section: its blocks of one budget each, with every cell's markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from leaderboard import wording
from leaderboard.budgets import Slice
from leaderboard.cells import Row, Section
from leaderboard.compact import is_empty, shared
from leaderboard.costs import counted
from leaderboard.families import Family
from leaderboard.fields import Field, Part, Places, makers_of
from leaderboard.figures import curves
from leaderboard.marks import Series
from leaderboard.sheet import Sheet

MOST_LINKED = 4000
"""Scores up to which each is a link by itself; 15,000 links take half of the page's bytes."""


class Line(NamedTuple):
    """One row of the table."""

    row: Row
    anchor: str
    series: Series | None
    """Its colour and shape in the charts."""
    marks: tuple[Warn, ...]
    """What all of its numbers carry, said once."""
    cells: tuple[Markup, ...]


class Warn(NamedTuple):
    """A mark that says the same of many numbers, and its reason."""

    mark: str
    reason: str


class Block(NamedTuple):
    """The rows of one family."""

    key: str
    title: str
    note: str
    detectable: tuple[str, ...]
    """For each column the smallest difference that would be found, or nothing."""
    lines: tuple[Line, ...]


class Grid(NamedTuple):
    """The table."""

    fields: tuple[Field, ...]
    blocks: tuple[Block, ...]
    marks: tuple[Warn, ...]
    """What all numbers of the section carry, said once."""
    crowded: bool
    """Whether it has so many numbers that links to them are left to the script."""

    @property
    def parts(self) -> dict[Part, list[Field]]:
        """The columns that may be chosen, by what they are about."""
        found: dict[Part, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.part, []).append(field)
        return found


def grid(sheet: Sheet, key: Sequence[Series], root: str) -> Grid:
    """Return the table of a section.

    Args:
        sheet: what may be compared.
        key: the series of its charts, in the order of its curves.
        root: the way from the page to the site's folder.
    """
    section = sheet.section
    anchors = {row: sheet.anchor(row) for row in section.rows}
    series = {row: one for one, curve in zip(key, curves(section.rows), strict=True) for row in curve.rows}
    crowded = len(section.rows) * len(section.columns) > MOST_LINKED
    everywhere = shared(cell for row in section.rows for cell in row.cells.values())
    said = {row: {**shared(row.cells.values()), **everywhere} for row in section.rows}
    makers = tuple(makers_of(section, Places(root, anchors, said, not crowded)))
    found = sheet.families
    cells = {row: [maker.cell(row, family) for maker in makers] for family in found for row in family.rows}
    # Scores have their columns whatever is known of them; others have one if there is something to show.
    kept = [
        at
        for at, maker in enumerate(makers)
        if maker.field.page or not all(is_empty(one[at]) for one in cells.values())
    ]
    blocks = []
    for number, family in enumerate(found):
        lines = tuple(
            Line(
                row,
                anchors[row],
                series.get(row),
                tuple(Warn(mark, why) for mark, why in said[row].items() if mark not in everywhere),
                tuple(cells[row][at] for at in kept),
            )
            for row in family.rows
        )
        blocks.append(_block(family, number, section, [makers[at].field for at in kept], lines))
    marks = tuple(Warn(*one) for one in everywhere.items())
    return Grid(tuple(makers[at].field for at in kept), tuple(blocks), marks, crowded)


def _block(family: Family, number: int, section: Section, fields: Sequence[Field], lines: tuple[Line, ...]) -> Block:
    measures = {column.task: column.measure for column in section.columns}
    detectable = []
    for field in fields:
        ranking = family.rankings.get(field.key) if field.page else None
        least = ranking.detectable if ranking else None
        detectable.append("" if least is None else wording.number(least, measures[field.key]))
    title, note = heading(family, section)
    return Block(_key(family.slices, number), title, note, tuple(detectable), lines)


def _key(slices: Sequence[Slice], number: int) -> str:
    """Return a name for a block in an address, which stays when other blocks come."""
    first = slices[0]
    if first.kind == "budget" and len(slices) == 1:
        return f"{first.budget:.0f}"
    return first.kind if len(slices) == 1 else f"alone-{number}"


def heading(family: Family, section: Section) -> tuple[str, str]:
    """Return what a family's block is called, and how many entries compete there."""
    entries = wording.plural(len(family.rows), "entry").replace("entrys", "entries")
    first, last = family.slices[0], family.slices[-1]
    if first.kind == "nothing":
        return "Nothing trained but the head", entries
    if first.budget is None:
        return "Unknown number of parameters", entries
    totals = counted(next(iter(section.rows)), lambda counts: counts.total) or tuple(
        total for row in section.rows for total in counted(row, lambda counts: counts.total)
    )
    if len(family.slices) > 1:
        ends = [wording.count(one.budget) for one in (first, last) if one.budget is not None]
        return f"{' to '.join(ends)} parameters", f"{entries}, each alone at its budget"
    of_all = f"{wording.share(first.budget / totals[0])} of the backbone, " if totals else ""
    return f"{wording.count(first.budget)} parameters", of_all + entries
