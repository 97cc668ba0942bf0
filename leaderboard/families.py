"""Families: the entries of a section that compete at one budget, task by task, and in which order they stand.

The table of a section has one block for each family, so that it answers what to use with so many parameters. Letters
and ranks belong to a family: they say nothing across blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from leaderboard.budgets import Slice, sized, slices
from leaderboard.cells import Row, Section
from leaderboard.columns import Column
from leaderboard.ranking import Place, Ranking, rank


class Family(NamedTuple):
    """Rows that may be asked "which of you, at this budget?" together."""

    slices: tuple[Slice, ...]
    """One budget; or several next to each other at each of which one entry stands alone."""
    rows: tuple[Row, ...]
    """Ranked ones by the mean of their places over the tasks, then the others by size."""
    rankings: Mapping[str, Ranking]
    """Task to its ranking, where two entries at least can be ranked."""
    places: Mapping[tuple[str, Row], Place]
    """Task and row to where it stands; nothing where it is not ranked."""

    @property
    def alone(self) -> bool:
        """Whether no entry has another to compete with."""
        return all(one.alone for one in self.slices)

    def place(self, row: Row, task: str) -> Place | None:
        """Return where a row stands on a task, None where it is not ranked."""
        return self.places.get((task, row))


def families(section: Section, names: Mapping[Row, str]) -> tuple[Family, ...]:
    """Return the families of a section by budget; every row is in one.

    Args:
        section: what may be compared.
        names: row to a name that no other row has.
    """
    rows = {names[row]: row for row in section.rows}
    found = slices(sized(name, row) for name, row in rows.items())
    return tuple(_family(part, rows, section.columns) for part in _blocks(found))


def _blocks(found: Sequence[Slice]) -> Iterator[tuple[Slice, ...]]:
    """Join neighbours at whose budgets one entry stands alone: a block for each would be all headings."""
    alone: list[Slice] = []
    for one in found:
        if alone and not (one.alone and one.kind == alone[0].kind):
            yield tuple(alone)
            alone = []
        if one.alone:
            alone.append(one)
        else:
            yield (one,)
    if alone:
        yield tuple(alone)


def _family(part: tuple[Slice, ...], rows: Mapping[str, Row], columns: Sequence[Column]) -> Family:
    members = [name for one in part for name in one.members]
    rankings: dict[str, Ranking] = {}
    for column in columns if len(part) == 1 and len(members) > 1 else ():
        cells = {name: rows[name].cells[column.task] for name in members}
        entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry}
        ranking = rank(entries, column.measure.higher_is_better)
        if ranking is not None:
            rankings[column.task] = ranking
    order = _order(rankings)
    members.sort(key=lambda name: (name not in order, order.get(name, 0.0), *_size(rows[name]), name))
    places = {(task, rows[place.name]): place for task, one in rankings.items() for place in one.places}
    return Family(part, tuple(rows[name] for name in members), rankings, places)


def _order(rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """Return the mean place of each entry that every task ranks; an order to read in, and no rank."""
    if not rankings:
        return {}
    places = [{place.name: number for number, place in enumerate(one.places)} for one in rankings.values()]
    everywhere = set(places[0]).intersection(*places)
    return {name: sum(one[name] for one in places) / len(places) for name in everywhere}


def _size(row: Row) -> tuple[bool, float]:
    return row.size is None, row.size or 0.0
