"""Rows: which runs are one."""

from __future__ import annotations

from pathlib import Path

from leaderboard.grouping import asked, in_words, without_collisions
from leaderboard.load import load_records
from tests.leaderboard.making import Made, answers

ITEMS = {"glue/sst2": answers(20, 3)}


def test_seeds_and_learning_rates_are_not_asked_for_but_values_are() -> None:
    plain = asked(Made(values={"rank": 8}).asked())
    assert plain == asked(Made(values={"rank": 8}, seed=1, spec={"training": {"lr": 0.1}}).asked())
    assert (
        len({plain, asked(Made(values={"rank": 4}).asked()), asked(Made(values={"rank": 8}, targets="mlp").asked())})
        == 3
    )


def test_runs_of_one_seed_are_told_apart_by_what_differs_alone(tmp_path: Path) -> None:
    for rate in (0.1, 0.2):
        for seed in (0, 1):
            Made(seed=seed, items=ITEMS, spec={"training": {"lr": rate}}).write(tmp_path)
    groups = without_collisions(load_records([tmp_path]).runs)
    assert [(settings, len(runs)) for settings, runs in groups] == [((("lr", "0.1"),), 2), ((("lr", "0.2"),), 2)]


def test_settings_that_follow_the_seed_stay_one_row(tmp_path: Path) -> None:
    for seed in (0, 1):
        Made(seed=seed, items=ITEMS, spec={"training": {"lr": 0.1 * (seed + 1)}}).write(tmp_path)
    ((settings, runs),) = without_collisions(load_records([tmp_path]).runs)
    assert (settings, len(runs)) == ((), 2)


def test_values_read_as_json_but_for_text() -> None:
    assert (in_words("all"), in_words(1.5), in_words([1, "a"])) == ("all", "1.5", '[1, "a"]')
