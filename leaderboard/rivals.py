"""Rivals: where a run stands on the board, and which items it wins and loses against the references there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from leaderboard.cells import Cell, Row, Section
from leaderboard.flips import Flips, flips
from leaderboard.load import Run
from leaderboard.references import Field


class Place(NamedTuple):
    """Where a run stands: its section, its row, and what others are set against there."""

    section: Section
    row: Row
    field: Field
    trained: Mapping[str, Mapping[str, Run]]
    """The row's runs by trained task and run id."""


class Against(NamedTuple):
    """One run set against the run of a reference with the same seed, on one task."""

    task: str
    name: str
    why: str
    run_id: str | None
    found: Flips | str
    """The items won and lost, or why there are none."""


def places_of(sections: Sequence[Section]) -> Mapping[str, Sequence[Place]]:
    """Return where each run stands; one that several suites asked for stands in several places."""
    found: dict[str, dict[Row, Place]] = defaultdict(dict)
    for section in sections:
        field = Field(section)
        for row in section.rows:
            trained: dict[str, dict[str, Run]] = defaultdict(dict)
            place = Place(section, row, field, trained)
            for cell in row.cells.values():
                for run in cell.runs:
                    trained[run.record.spec.train][run.run_id] = run
                    found[run.run_id][row] = place
    return {run_id: tuple(places.values()) for run_id, places in found.items()}


def siblings(run: Run, place: Place) -> list[Run]:
    """Return the runs of the same row that were trained on the same task, by seed, this one among them."""
    return sorted(place.trained[run.record.spec.train].values(), key=lambda one: (one.record.spec.seed, one.run_id))


def against(run: Run, place: Place) -> list[Against]:
    """Return what a run wins and loses against the references of its section, task by task."""
    if run.record.status != "ok":
        return []
    higher = {column.task: column.measure.higher_is_better for column in place.section.columns}
    return [
        _against(run, place, reference.row, reference.why, score.task, higher[score.task])
        for score in run.record.scores
        if score.task in higher
        for reference in place.field.against(place.row, score.task)
    ]


def _against(run: Run, place: Place, row: Row, why: str, task: str, higher_is_better: bool) -> Against:
    seed, other = run.record.spec.seed, row.cells[task]
    rival = next((one for one in other.good if one.record.spec.seed == seed), None)
    found = _flips(place.row.cells[task], other, seed, higher_is_better)
    return Against(task, place.field.names[row], why, rival.run_id if rival else None, found)


def _flips(own: Cell, other: Cell, seed: int, higher_is_better: bool) -> Flips | str:
    if own.entry is None:
        return "the items of this run are not at hand"
    if other.entry is None:
        return "its items are not at hand"
    return flips(own.entry, other.entry, seed, higher_is_better)
