"""What a record's own card says of a task."""

from __future__ import annotations

from pathlib import Path

from leaderboard.columns import Measure, column_of, headline
from leaderboard.load import load_records
from leaderboard.statistics import Interval
from tests.leaderboard.making import Made, answers, card

TASK = "glue/sst2"


def test_the_newest_card_wins_and_states_that_are_not_complete_are_told(tmp_path: Path) -> None:
    items = {TASK: answers(10, 2)}
    Made(items=items, cards={TASK: card(TASK, chance=0.4)}).write(tmp_path)
    Made(seed=1, items=items, cards={TASK: card(TASK, chance=0.6) | {"version": 2}}, state="carved").write(tmp_path)
    Made(seed=2, items={TASK: answers(8, 2)}).write(tmp_path)
    Made(seed=3, status="failed").write(tmp_path)
    runs = load_records([tmp_path]).runs
    column = column_of(TASK, runs)
    assert column.items == (8, 10)
    assert (column.version, column.measure.chance, column.states, column.title) == (2, 0.6, ("carved",), "SST2")
    found = {run.record.spec.seed: headline(run, column) for run in runs}
    assert found == {0: 0.8, 1: 0.8, 2: 0.75, 3: None}


def test_a_task_without_a_card_keeps_its_name_and_its_headline(tmp_path: Path) -> None:
    place = Made(items={TASK: answers(10, 2)}).write(tmp_path)
    path = place / "record.json"
    path.write_text(path.read_text().replace('"task_cards": {\n  "glue/sst2"', '"task_cards": {\n  "other"'))
    column = column_of(TASK, load_records([tmp_path]).runs)
    assert (column.title, column.version) == (TASK, None)
    assert column.measure == Measure("accuracy", True, "", None, None)


def test_a_chance_level_that_is_not_known_is_none_and_not_zero(tmp_path: Path) -> None:
    Made(items={TASK: answers(10, 2)}, cards={TASK: card(TASK, chance=None)}).write(tmp_path)
    runs = load_records([tmp_path]).runs
    assert column_of(TASK, runs).measure.chance is None


def test_intervals_are_cut_where_no_value_can_be() -> None:
    wide = Interval(0.5, -0.7, 1.7, 3, 10, "seeds and items")
    assert Measure("accuracy", True, "%", 0.5, 1.0).within(wide)[1:3] == (0.0, 1.0)
    assert Measure("matthews", True, "", 0.0, 1.0).within(wide)[1:3] == (-0.7, 1.0)
    assert Measure("perplexity", False, "", None, None).within(wide) == wide
    assert Measure("accuracy", True, "%", 0.5, 1.0).scale == 100
