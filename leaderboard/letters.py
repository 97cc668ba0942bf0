"""Letter groups of a whole section: which entries of one budget the data do not tell apart."""

from __future__ import annotations

from collections.abc import Mapping

from leaderboard.budgets import sized, slices
from leaderboard.cells import Row, Section
from leaderboard.columns import Column
from leaderboard.ranking import rank
from leaderboard.wording import names

Letters = Mapping[tuple[Row, str], str]
"""Row and task to letters; what is not ranked is absent."""


def letters_of(section: Section) -> Letters:
    """Return the letters of every cell that is ranked, within its budget slice."""
    named = names(section.rows)
    rows = {name: row for row, name in named.items()}
    found: dict[tuple[Row, str], str] = {}
    for family in slices(sized(name, row) for row, name in named.items()):
        members = {name: rows[name] for name in family.members}
        for column in section.columns:
            found |= {(rows[name], column.task): text for name, text in _of_family(members, column).items()}
    return found


def _of_family(members: Mapping[str, Row], column: Column) -> dict[str, str]:
    cells = {name: row.cells[column.task] for name, row in members.items()}
    entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry}
    ranking = rank(entries, column.measure.higher_is_better)
    return {place.name: "".join(place.letters) for place in ranking.places} if ranking else {}
