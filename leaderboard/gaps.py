"""The paired differences of a section's plain compare page, as CSV and JSON: every entry against each task's best."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from leaderboard import pairs
from leaderboard.cells import Cell, Section
from leaderboard.pairs import OfSection, OfTask
from leaderboard.spreadsheet import table

FIELDS = (
    "suite", "backbone", "protocol", "policy", "sizes", "data_seed", "task", "metric", "higher_is_better", "entry",
    "id", "trained", "against", "difference", "low", "high", "interval", "p_value", "seeds", "items", "won", "lost",
    "note",
)  # fmt: skip
NOTHING_SHARED = "nothing in common with the best"
BEST = "best mean"

Line = dict[str, object]
"""Field to value; unknown is absent."""


def lines(section: Section, found: OfSection) -> Iterator[Line]:
    """Yield one line for each task and entry, scores unscaled; one without a difference says why in its note."""
    names = [found.field.names[row] for row in section.rows]
    for task in found.tasks:
        measure = task.column.measure
        shared: Line = {
            **section.ground._asdict(),
            "task": task.column.task,
            "metric": measure.name,
            "higher_is_better": measure.higher_is_better,
        }
        for place, row in enumerate(section.rows):
            own: Line = {"entry": names[place], "id": pairs.entry_id(row), "trained": list(row.trained)}
            yield {**shared, **own, **_difference(place, task, row.cells[task.column.task], names)}


def _difference(place: int, task: OfTask, cell: Cell, names: Sequence[str]) -> Line:
    if place in task.refused:
        return {"note": task.refused[place]}
    if task.best is None or place == task.best:
        return {"note": BEST} if place == task.best else {}
    against: Line = {"against": names[task.best]}
    duel = task.between(place, task.best)
    if duel is None:
        return {**against, "note": NOTHING_SHARED}
    gap = duel.difference
    numbers: Line = {"difference": gap.estimate, "low": gap.low, "high": gap.high, "interval": gap.basis}
    ground: Line = {"p_value": gap.p_value, "seeds": gap.num_seeds, "items": gap.num_items}
    return {**against, **numbers, **ground, "won": duel.won, "lost": duel.lost, "note": pairs.caveat(cell) or None}


def to_csv(of: Sequence[Line]) -> str:
    """Return lines as CSV; unknown is empty."""
    return table(FIELDS, ({name: _flat(value) for name, value in line.items()} for line in of))


def _flat(value: object) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value


def to_json(section: Section, of: Sequence[Line]) -> str:
    """Return lines as JSON beside what all of them share; unknown is null."""
    shared = section.ground._asdict()
    differences = [{name: line.get(name) for name in FIELDS if name not in shared} for line in of]
    return json.dumps({"ground": shared, "differences": differences}, indent=1, allow_nan=False) + "\n"
