"""Numbers from items: the same whoever reads them, and none where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leaderboard import crew, measuring
from leaderboard.columns import column_of
from leaderboard.load import load_records
from leaderboard.measuring import Wanted, measure
from leaderboard.statistics import paired_difference
from tests.leaderboard.making import Made, answers, card

TASKS = ("glue/sst2", "glue/cola")


def wanted(folder: Path, num_rows: int) -> list[Wanted]:
    """Write rows of two seeds on two tasks, one of accuracy and one that needs the jackknife."""
    for row in range(num_rows):
        for seed in range(2):
            items = {task: answers(40, 3 + row % 7 + seed, seed) for task in TASKS}
            cards = {TASKS[1]: card(TASKS[1], "matthews", unit="")}
            Made(values={"rank": row + 1}, score=TASKS, seed=seed, items=items, cards=cards).write(folder)
    runs = load_records([folder]).runs
    columns = [column_of(task, runs) for task in TASKS]
    rows = {rank: [run for run in runs if run.record.spec.values["rank"] == rank] for rank in range(1, num_rows + 1)}
    return [[(column, tuple(own)) for column in columns] for own in rows.values()]


def test_numbers_are_equal_to_the_last_bit_however_many_processes_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = wanted(tmp_path, 12)
    monkeypatch.setattr(measuring, "ENOUGH", 1)
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(crew, "num_cores", lambda cores=cores: cores)
        found.append([one for row in measure(rows) for one in row])
    assert len(found[0]) == 24
    for alone, *others in zip(*found, strict=True):
        for other in others:
            assert alone is not None
            assert other is not None
            assert other.interval == alone.interval
            assert alone.entry is not None
            assert other.entry is not None
            assert other.entry.metric is alone.entry.metric
            assert other.entry.scores == alone.entry.scores
            assert np.array_equal(other.entry.units, alone.entry.units)
            assert paired_difference(alone.entry, other.entry).estimate == 0.0


def test_a_cell_without_runs_or_with_an_undefined_score_has_no_number(tmp_path: Path) -> None:
    ((accuracy, (_, runs)),) = wanted(tmp_path, 1)
    other = column_of("glue/rte", runs)
    assert measure([[(accuracy[0], ()), (other, runs)], []]) == [[None, None], []]


def test_items_that_cannot_be_read_leave_the_mean_and_say_why(tmp_path: Path) -> None:
    rows = wanted(tmp_path, 1)
    (tmp_path / rows[0][0][1][0].run_id / "001" / "items.parquet").write_bytes(b"PAR1")
    ((first, second),) = measure(rows)
    assert first is not None
    assert second is not None
    assert first.interval.estimate == pytest.approx(1 - 3.5 / 40)
    assert (first.interval.low, first.interval.basis, first.entry) == (None, "its items cannot be read", None)
    assert "items.parquet: not the items of a run" in first.unreadable
    assert first.unreadable == second.unreadable
