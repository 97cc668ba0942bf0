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


def study(section: Section, column: Column, families: Sequence[Family], named: Mapping[Row, str]) -> Study:
    """Return what a task says of a section's entries.

    Args:
        section: what may be compared.
        column: the task.
        families: of the section.
        named: the name of each row.
    """
    rows = {named[row]: row for row in section.rows if row.cells[column.task].runs}
    cells = {name: row.cells[column.task] for name, row in rows.items()}
    entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry is not None}
    higher = column.measure.higher_is_better
    panel = panel_of(entries, higher)
    sizes = {name: size for name in (panel.names if panel else ()) if (size := rows[name].size) is not None}
    chances = frontier_chances(panel, sizes) if panel and sizes else {}
    groups = []
    for family in families:
        ranking = family.rankings.get(column.task)
        found = [
            Ranked(row, name, cells[name], family.place(row, column.task), chances.get(name))
            for row in family.rows
            if (name := named[row]) in rows
        ]
        if found:
            ordered = sorted(found, key=lambda entry: _order(entry, ranking, higher))
            groups.append(Group(family, ranking, tuple(ordered)))
    return Study(tuple(groups), _budgets(section, column, named, panel) if panel else {})


def _order(entry: Ranked, ranking: Ranking | None, higher: bool) -> tuple[int, float, str]:
    if ranking and entry.place:
        return 0, ranking.places.index(entry.place), entry.name
    if entry.cell.interval:
        return 1, entry.cell.interval.estimate * (-1 if higher else 1), entry.name
    return 2, 0.0, entry.name


def _budgets(
    section: Section, column: Column, named: Mapping[Row, str], panel: Panel
) -> Mapping[str, tuple[Budgets, ...]]:
    full, zero = _full(section, column, named, panel), _zero(section, column, named, panel)
    found: dict[str, list[Budgets]] = defaultdict(list)
    for curve in curves(section.rows):
        sizes: dict[str, float] = {}
        for row in curve.rows:
            if named[row] in panel.names and row.size and row.size not in sizes.values():
                sizes[named[row]] = row.size
        if sizes and not curve.reference:
            whole = any(trains_everything(row) for row in curve.rows)
            reaches = () if whole or full is None or zero is None else reach(panel, sizes, full, zero)
            method = curve.rows[0].method
            found[method].append(Budgets(method, curve.name, len(sizes), budget_curve(panel, sizes), reaches))
    return {method: tuple(budgets) for method, budgets in found.items()}


def _full(section: Section, column: Column, named: Mapping[Row, str], panel: Panel) -> str | None:
    """Return the best of the entries that train everything."""
    whole = [named[row] for row in section.rows if named[row] in panel.names and trains_everything(row)]
    place = {panel.names[entry]: number for number, entry in enumerate(panel.order)}
    return min(whole, key=place.__getitem__, default=None)


def _zero(section: Section, column: Column, named: Mapping[Row, str], panel: Panel) -> str | float | None:
    """Return where the gain of full fine-tuning begins: what trains nothing, else the head alone, else chance."""
    nothing = [row for row in section.rows if row.size == 0 and named[row] in panel.names]
    untouched = [row for row in nothing if not _trains_head(row.cells[column.task])]
    chosen = (untouched or nothing)[:1]
    return named[chosen[0]] if chosen else column.measure.chance


def _trains_head(cell: Cell) -> bool:
    return any(run.record.counts is not None and run.record.counts.head_trained for run in cell.good)
