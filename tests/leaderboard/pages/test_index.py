"""The index and the pages of the other sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.load import load_records
from leaderboard.pages.index import pages, places_of
from leaderboard.site import Site
from tests.leaderboard.making import TOTAL, Made, answers
from tests.leaderboard.small_board import visible, write_small_board


def test_the_largest_section_is_the_index_and_others_have_their_own_page(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    Made(suite="another", values={"rank": 4}, items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    site = Site.of(load_records([tmp_path]))
    places = {section.ground.suite: place for section, place in places_of(site).items()}
    assert places["small"] == "index.html"
    assert places["another"].startswith("boards/another-")
    made = {page.path: visible(str(page.content)) for page in pages(site)}
    assert made.keys() == set(places.values())
    assert "random_mask 227,132 1 %" in made["index.html"]
    assert "random_mask 227,132 1 %" not in made[places["another"]]


def test_a_board_of_nothing_says_so(tmp_path: Path) -> None:
    (index,) = pages(Site.of(load_records([tmp_path])))
    assert index.path == "index.html"
    assert "There is no record here yet" in str(index.content)


def test_a_section_that_may_be_ranked_comes_before_a_larger_one_that_is_out_of_date(tmp_path: Path) -> None:
    old = [Made("fish", suite="old", seed=seed, items={"glue/sst2": answers(20, 3)}) for seed in range(5)]
    new = [Made("lora", suite="new", seed=seed, items={"glue/sst2": answers(20, 3)}) for seed in range(3)]
    for one in (*old, *new):
        one.write(tmp_path)
    site = Site.of(load_records([tmp_path]), {one.run_id: "moved on" for one in old})
    places = {section.ground.suite: place for section, place in places_of(site).items()}
    assert places["new"] == "index.html"


@pytest.mark.parametrize("trained", [0, TOTAL])
def test_a_section_with_a_reference_that_may_be_ranked_comes_before_a_larger_one(tmp_path: Path, trained: int) -> None:
    items = {"glue/sst2": answers(20, 3)}
    alone = [Made(method, suite="alone", seed=seed, items=items) for method in ("lora", "pst") for seed in range(3)]
    old = Made("base", suite="old", seed=7, trained=trained, items=items)
    seen = [Made("base", suite="seen", seed=seed, trained=trained, items=items) for seed in range(2)]
    for one in (*alone, old, *seen):
        one.write(tmp_path)
    site = Site.of(load_records([tmp_path]), {old.run_id: "moved on"})
    assert {section.ground.suite for section in site.sections} == {"alone", "old", "seen"}
    places = {section.ground.suite: place for section, place in places_of(site).items()}
    assert places["seen"] == "index.html"
