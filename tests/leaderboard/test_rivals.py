"""Rivals: where runs stand, and what they are set against."""

from __future__ import annotations

from pathlib import Path

from leaderboard.flips import Flips
from leaderboard.load import load_records
from leaderboard.rivals import against, places_of, siblings
from leaderboard.site import Site
from tests.leaderboard.making import TOTAL, Made, answers


def test_runs_meet_runs_of_their_own_seed_only(tmp_path: Path) -> None:
    for seed in range(2):
        Made("goft", seed=seed, trained=5, items={"glue/sst2": answers(40, 9, seed)}).write(tmp_path)
    full = Made("full", trained=TOTAL, items={"glue/sst2": answers(40, 9)})
    full.write(tmp_path)
    site = Site.of(load_records([tmp_path]), {})
    places = places_of(site.sections)
    assert places.keys() == {run.run_id for run in site.runs}
    by_seed = {run.record.spec.seed: run for run in site.runs if run.record.spec.method == "goft"}
    (same,), (none,) = (against(by_seed[seed], places[by_seed[seed].run_id][0]) for seed in (0, 1))
    assert isinstance(same.found, Flips)
    assert (same.found.won, same.found.lost, same.run_id) == ((), (), full.run_id)
    assert (none.found, none.run_id) == ("it has no result of seed 1", None)
    assert siblings(by_seed[1], places[by_seed[1].run_id][0]) == [by_seed[0], by_seed[1]]


def test_items_that_are_not_at_hand_are_said(tmp_path: Path) -> None:
    ours = Made("goft", trained=5, items={"glue/sst2": answers(40, 9)})
    folder = ours.write(tmp_path)
    Made("full", trained=TOTAL, items={"glue/sst2": answers(40, 9)}).write(tmp_path)
    (folder / "items.parquet").unlink()
    site = Site.of(load_records([tmp_path]), {})
    places = places_of(site.sections)
    found = {run.record.spec.method: against(run, places[run.run_id][0]) for run in site.runs}
    assert [one.found for one in found["goft"]] == ["the items of this run are not at hand"]
    assert found["full"] == []


def test_a_run_of_two_suites_stands_in_two_places(tmp_path: Path) -> None:
    for attempt, suite in enumerate(("one", "two"), 1):
        Made("goft", suite=suite, attempt=attempt, items={"glue/sst2": answers(40, 9)}).write(tmp_path)
    site = Site.of(load_records([tmp_path]), {})
    (places,) = places_of(site.sections).values()
    assert [place.section.ground.suite for place in places] == ["one", "two"]
