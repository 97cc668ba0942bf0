"""What a task says of its entries: families, frontier and budget curves."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.spec import Budget
from leaderboard.load import load_records
from leaderboard.site import Site
from leaderboard.standings import Study
from tests.leaderboard.making import TOTAL, Made, answers

TASK = "glue/sst2"


def study_of(folder: Path) -> Study:
    (sheet,) = Site.of(load_records([folder])).sheets
    return sheet.studies[TASK]


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    """Write base, full fine-tuning, and a method that comes near it at the larger of two budgets."""
    entries = [
        ("base", None, 0, 150),
        ("full", None, TOTAL, 30),
        ("random_mask", 1_000, 1_000, 100),
        ("random_mask", 100_000, 100_000, 32),
        ("fish", 1_000, 1_000, 40),
    ]
    for seed in range(3):
        for method, asked, trained, wrong in entries:
            budget = Budget(count=asked) if asked else None
            made = Made(method, seed=seed, budget=budget, trained=trained)
            made.items = {TASK: answers(300, wrong + seed, seed)}
            made.write(tmp_path)
    Made("pst", seed=0, trained=5_000, items={TASK: answers(300, 40)}).write(tmp_path)
    return tmp_path


def test_entries_compete_within_their_budget_best_first(ladder: Path) -> None:
    groups = {tuple(entry.name for entry in group.entries): group for group in study_of(ladder).groups if group.ranking}
    (names,) = groups
    assert names == ("fish 1,000", "random_mask 1,000")
    first, second = groups[names].entries
    assert first.place is not None
    assert second.place is not None
    assert (first.place.rank_low, first.place.rank_high) == (1, 1)
    assert second.place.below_best
    assert first.frontier_chance is not None
    assert first.frontier_chance > 0.9
    assert second.frontier_chance == 0


def test_every_entry_is_in_one_group_the_uncompared_without_a_place(ladder: Path) -> None:
    entries = [entry for group in study_of(ladder).groups for entry in group.entries]
    assert sorted(entry.row.method for entry in entries) == [
        "base",
        "fish",
        "full",
        "pst",
        "random_mask",
        "random_mask",
    ]
    (single,) = (entry for entry in entries if entry.row.method == "pst")
    assert (single.place, single.frontier_chance) == (None, None)


def test_a_curve_says_how_many_parameters_it_needs_to_come_near_full(ladder: Path) -> None:
    budgets = study_of(ladder).budgets
    assert set(budgets) == {"fish", "full", "random_mask"}
    (curve,) = budgets["random_mask"]
    assert (curve.num_budgets, curve.curve.floor.size, curve.curve.ceiling.size) == (2, 1_000, 100_000)
    assert curve.curve.area is not None
    near, nearer = curve.reaches
    assert near.size is not None
    assert 1_000 < near.size < 100_000
    assert nearer.size is None
    assert budgets["full"][0].reaches == ()


def test_without_a_full_entry_there_is_nothing_to_come_near_to(tmp_path: Path) -> None:
    for seed in range(3):
        for trained, wrong in ((1_000, 20), (9_000, 10)):
            made = Made("random_mask", seed=seed, budget=Budget(count=trained), trained=trained)
            made.items = {TASK: answers(100, wrong, seed)}
            made.write(tmp_path)
    (curve,) = study_of(tmp_path).budgets["random_mask"]
    assert curve.reaches == ()
    assert curve.curve.area is not None


def test_one_seed_compares_nothing(tmp_path: Path) -> None:
    for method in ("lora", "pst"):
        Made(method, items={TASK: answers(100, 20)}).write(tmp_path)
    found = study_of(tmp_path)
    assert found.budgets == {}
    assert all(entry.place is None for group in found.groups for entry in group.entries)
