"""Budget slices: everyone is in exactly one, and the rules are those that the docstring states."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.spec import Budget
from leaderboard.budgets import FEWEST, MOST, Sized, Slice, nearest, sized, slices
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import TOTAL, Made, answers

COUNTS = st.one_of(st.none(), st.just(0.0), st.floats(1, 1e8))
SIZED = st.lists(
    st.tuples(COUNTS, st.one_of(st.none(), st.sampled_from([1e3, 1e4, 1e5]))).map(lambda pair: Sized("", *pair)),
    max_size=12,
).map(lambda found: [one._replace(name=f"m{number}") for number, one in enumerate(found)])


def test_a_ladder_with_references_by_hand() -> None:
    found = slices(
        [
            Sized("full", 1e6),
            Sized("almost full", 0.9e6),
            Sized("base", 0.0),
            Sized("head_only", 0.0),
            Sized("fish", 9_990.0, 10_000.0),
            Sized("coarse", 3_000.0, 10_000.0),
            Sized("mask", 100_000.0, 100_000.0),
            Sized("lora rank 1", 10_900.0),
            Sized("lora rank 2", 21_800.0),
            Sized("failed", None),
        ]
    )
    assert found == (
        Slice("nothing", None, ("base", "head_only")),
        Slice("budget", 10_000.0, ("coarse", "fish", "lora rank 1")),
        Slice("budget", 21_800.0, ("lora rank 2",)),
        Slice("budget", 100_000.0, ("mask",)),
        Slice("budget", 1e6, ("almost full", "full")),
        Slice("unknown", None, ("failed",)),
    )
    assert [one.alone for one in found] == [False, False, True, True, False, True]


@given(SIZED)
def test_no_entry_is_lost_or_in_two_slices(entries: list[Sized]) -> None:
    found = slices(entries)
    assert sorted(name for one in found for name in one.members) == sorted(one.name for one in entries)
    assert found == slices(entries[::-1])
    assert all(list(one.members) == sorted(one.members) for one in found)


@given(SIZED)
def test_nobody_competes_far_above_a_budget(entries: list[Sized]) -> None:
    by_name = {one.name: one for one in entries}
    for one in slices(entries):
        for name in one.members:
            member = by_name[name]
            if one.kind == "budget" and member.asked is None:
                assert one.budget is not None
                assert member.trained is not None
                assert FEWEST * one.budget <= member.trained <= MOST * one.budget
            assert (one.kind == "nothing") == (member.trained == 0)


def test_the_nearest_budget_is_nearest_on_a_log_scale() -> None:
    assert nearest(1.0, [1.9, 0.95]) == 0.95
    assert nearest(1.0, [0.5, 2.5]) is None


@pytest.mark.parametrize(
    ("budget", "asked"),
    [(Budget(count=22_500), 22_500.0), (Budget(fraction=0.001), float(int(0.001 * TOTAL))), (None, None)],
)
def test_a_row_of_the_board_knows_what_it_was_asked_for(
    tmp_path: Path, budget: Budget | None, asked: float | None
) -> None:
    for seed in range(2):
        Made(budget=budget, seed=seed, items={"glue/sst2": answers(20, 2, seed)}).write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    assert sized("a name", section.rows[0]) == Sized("a name", 22_000.0, asked)
