"""Cells as a board showed them, frozen so that a later board can say what moved."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, TypeAdapter

from leaderboard.cells import Cell, Row
from leaderboard.columns import Column
from leaderboard.exports.cells import asked
from leaderboard.sheet import Sheet
from leaderboard.site import Site

CellKey = tuple[str, str, str]
"""Section, row and task, as JSON texts and a name."""


class FrozenCell(BaseModel):
    """One cell: what it is of, what it showed, and which results it was made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ground: str
    """JSON of what makes its section."""
    row: str
    """JSON of the method as it was asked for."""
    name: str
    """The row's name in its section."""
    task: str
    metric: str
    unit: str
    mean: float | None
    low: float | None
    high: float | None
    letters: str
    """Empty where it was not ranked."""
    results: dict[int, tuple[str, str]]
    """Seed to run id and digest of the items of each ok run."""

    @property
    def key(self) -> CellKey:
        """What the same cell has on another board."""
        return self.ground, self.row, self.task


_CELLS = TypeAdapter(tuple[FrozenCell, ...])


def frozen_cells(site: Site) -> Iterator[tuple[FrozenCell, Cell]]:
    """Yield every cell of a site that has runs, with the cell itself."""
    for sheet in site.sheets:
        for family in sheet.families:
            for row in family.rows:
                for column in sheet.section.columns:
                    if row.cells[column.task].runs:
                        place = family.place(row, column.task)
                        letters = "".join(place.letters) if place else ""
                        yield _frozen(sheet, row, column, letters), row.cells[column.task]


def _frozen(sheet: Sheet, row: Row, column: Column, letters: str) -> FrozenCell:
    cell = row.cells[column.task]
    interval = cell.interval
    settings = [list(pair) for pair in row.settings]
    return FrozenCell(
        ground=json.dumps(sheet.ground),
        row=json.dumps({**asked(cell.runs[0].record.spec), "settings": settings}, sort_keys=True),
        name=sheet.names[row],
        task=column.task,
        metric=column.measure.name,
        unit=column.measure.unit,
        mean=interval.estimate if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        letters=letters,
        results={run.record.spec.seed: (run.run_id, run.record.digests.items or "") for run in cell.good},
    )


def write_cells(site: Site) -> str:
    """Return the cells of a site as text."""
    cells = [cell.model_dump(mode="json") for cell, _ in frozen_cells(site)]
    return json.dumps(cells, indent=0, sort_keys=True, allow_nan=False) + "\n"


def read_cells(text: str) -> tuple[FrozenCell, ...]:
    """Return the cells of a text.

    Raises:
        ValueError: if it is not of today's form.
    """
    return _CELLS.validate_json(text)
