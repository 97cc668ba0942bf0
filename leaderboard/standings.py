"""What one task of a section says of its entries: who competes with whom, how sure the order is, and budget curves.

All of it is computed in one pass over a task, so that its large tables of draws and pairs need not be kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column
from leaderboard.families import Family
from leaderboard.figures import Curve as Joined
from leaderboard.figures import curves, trains_everything
from leaderboard.ladder import Curve, Reach, budget_curve, reach
from leaderboard.panel import Panel, panel_of
from leaderboard.pareto import frontier_chances
from leaderboard.ranking import Place, Ranking


class Ranked(NamedTuple):
    """One entry among those of its budget."""

    row: Row
    name: str
    cell: Cell
    place: Place | None
    """None where it is not compared."""
    frontier_chance: float | None
    """Probability of lying on the frontier of all budgets."""


class Group(NamedTuple):
    """The entries of one family."""

    family: Family
    ranking: Ranking | None
    """None where fewer than two entries can be compared."""
    entries: tuple[Ranked, ...]
    """By rank; then those that are not compared, and those without a number."""


class Budgets(NamedTuple):
    """One curve of a method, and how it stands to full fine-tuning."""

    method: str
    name: str
    num_budgets: int
    curve: Curve
    reaches: tuple[Reach, ...]
    """Empty where no other entry trains everything, or nothing says where the gain begins."""


class Study(NamedTuple):
    """Everything about one task of a section."""

    groups: tuple[Group, ...]
    budgets: Mapping[str, tuple[Budgets, ...]]
    """Method to its curves."""


class Entries(NamedTuple):
    """What is the same for all tasks of a section."""

    named: Mapping[Row, str]
    """The name of each row."""
    families: Sequence[Family]
    joined: Sequence[Joined]
    """Which rows form a curve."""
    whole: frozenset[Row]
    """Rows that train everything."""


def entries_of(section: Section, named: Mapping[Row, str], families: Sequence[Family]) -> Entries:
    """Return what all tasks of a section have in common."""
    whole = frozenset(row for row in section.rows if trains_everything(row))
    return Entries(named, families, curves(section.rows), whole)


def study(column: Column, common: Entries) -> Study:
    """Return what a task says of the entries of a section."""
    named = common.named
    rows = {name: row for row, name in named.items() if row.cells[column.task].runs}
    cells = {name: row.cells[column.task] for name, row in rows.items()}
    entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry is not None}
    higher = column.measure.higher_is_better
    panel = panel_of(entries, higher)
    sizes = {name: size for name in (panel.names if panel else ()) if (size := rows[name].size) is not None}
    chances = frontier_chances(panel, sizes) if panel and sizes else {}
    groups = []
    for family in common.families:
        ranking = family.rankings.get(column.task)
        found = [
            Ranked(row, name, cells[name], family.place(row, column.task), chances.get(name))
            for row in family.rows
            if (name := named[row]) in rows
        ]
        if found:
            ordered = sorted(found, key=lambda entry: _order(entry, ranking, higher))
            groups.append(Group(family, ranking, tuple(ordered)))
    return Study(tuple(groups), _budgets(column, common, panel) if panel else {})


def _order(entry: Ranked, ranking: Ranking | None, higher: bool) -> tuple[int, float, str]:
    if ranking and entry.place:
        return 0, ranking.places.index(entry.place), entry.name
    if entry.cell.interval:
        return 1, entry.cell.interval.estimate * (-1 if higher else 1), entry.name
    return 2, 0.0, entry.name


def _budgets(column: Column, common: Entries, panel: Panel) -> Mapping[str, tuple[Budgets, ...]]:
    known = set(panel.names)
    compared = {row: name for row, name in common.named.items() if name in known}
    full, zero = _full(common, compared, panel), _zero(column, compared)
    found: dict[str, list[Budgets]] = defaultdict(list)
    for curve in common.joined:
        sizes: dict[str, float] = {}
        for row in curve.rows:
            if row in compared and (size := row.size) and size not in sizes.values():
                sizes[compared[row]] = size
        if sizes and not curve.reference:
            whole = not common.whole.isdisjoint(curve.rows)
            reaches = () if whole or full is None or zero is None else reach(panel, sizes, full, zero)
            method = curve.rows[0].method
            found[method].append(Budgets(method, curve.name, len(sizes), budget_curve(panel, sizes), reaches))
    return {method: tuple(budgets) for method, budgets in found.items()}


def _full(common: Entries, compared: Mapping[Row, str], panel: Panel) -> str | None:
    """Return the best of the entries that train everything."""
    whole = [name for row, name in compared.items() if row in common.whole]
    place = {panel.names[entry]: number for number, entry in enumerate(panel.order)}
    return min(whole, key=place.__getitem__, default=None)


def _zero(column: Column, compared: Mapping[Row, str]) -> str | float | None:
    """Return where the gain of full fine-tuning begins: what trains nothing, else the head alone, else chance."""
    nothing = [row for row in compared if row.size == 0]
    untouched = [row for row in nothing if not _trains_head(row.cells[column.task])]
    chosen = (untouched or nothing)[:1]
    return compared[chosen[0]] if chosen else column.measure.chance


def _trains_head(cell: Cell) -> bool:
    return any(run.record.counts is not None and run.record.counts.head_trained for run in cell.good)
