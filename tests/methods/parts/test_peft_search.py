"""Whole numbers whose effect is known by counting only come closest to a budget without exceeding it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import NotApplicable
from methods.parts.peft_search import Knob, closest

DIVISORS = [64, 32, 16, 8, 4, 2, 1]


def solve(budget: int, *knobs: Knob, standing: int = 800, ceiling: int = 10_000) -> dict[str, int]:
    return closest(knobs, standing, budget, ceiling, DIVISORS)


RANK = Knob("r", 8, lambda size: 100 * size)
EVEN = Knob("r", 8, lambda size: None if size % 2 else 100 * size)
BLOCK = Knob("block", 4, lambda size: 200 * size if 64 % size == 0 and size <= 64 else None)
FALLS = Knob("r", 8, lambda size: 6400 // size if size <= 64 else None)
CAPPED = Knob("r", 8, lambda size: 100 * min(size, 4))  # LoKr takes whole matrices from some rank on
WHOLE = Knob("r", 32, lambda size: 100 * size if size <= 32 else None)
STILL = Knob("seed", 8, lambda size: 800)


@given(st.integers(100, 10_000))
def test_a_rank_is_the_largest_that_fits(budget: int) -> None:
    assert solve(budget, STILL, RANK).get("r", 8) == budget // 100


@given(st.integers(200, 9_999))
def test_sizes_that_are_refused_are_passed_over(budget: int) -> None:
    assert solve(budget, EVEN).get("r", 8) == budget // 200 * 2


@given(st.integers(100, 3_200))
def test_a_rank_that_starts_at_its_largest_is_searched_downwards(budget: int) -> None:
    assert solve(budget, WHOLE, standing=3200).get("r", 32) == budget // 100


@given(st.integers(200, 6_400))
def test_block_sizes_are_divisors(budget: int) -> None:
    size = solve(budget, BLOCK).get("block", 4)
    assert 64 % size == 0
    assert 200 * size <= budget < 400 * size


@given(st.integers(100, 6_400))
def test_a_number_that_lowers_the_count_is_searched_downwards(budget: int) -> None:
    size = solve(budget, FALLS).get("r", 8)
    assert 6400 // size <= budget
    assert size == 1 or 6400 // (size - 1) > budget or 6400 // (size - 1) == 6400 // size


@given(st.integers(100, 400))
def test_a_number_that_only_counts_below_the_start_is_searched_too(budget: int) -> None:
    assert min(solve(budget, CAPPED, standing=400).get("r", 4), 4) == budget // 100


@pytest.mark.parametrize(
    ("budget", "knob", "reason"),
    [
        (99, RANK, "smallest is 100"),
        (10_001, RANK, "largest is 10000"),
        (12_900, BLOCK, "largest is 6400"),
        (900, STILL, "one size, 800, and takes no budget"),
    ],
)
def test_a_budget_that_nothing_meets_names_what_is_possible(budget: int, knob: Knob, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        solve(budget, knob)


def test_of_several_numbers_the_one_that_comes_closest_is_turned() -> None:
    fine = Knob("n", 8, lambda size: 10 * size + 720)
    assert solve(955, RANK, fine) == {"n": 23}
    assert solve(850, RANK, Knob("n", 1, lambda size: 900 * size)) == {}, "the start itself is closest"
