"""Comparisons: paired on what both cells have, corrected for how many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metric import METRICS
from leaderboard.compare import compare, holm, standing
from leaderboard.load import Run, load_records
from leaderboard.statistics import Entry
from tests.leaderboard.making import Made, answers


def cell(num_right: int, num_seeds: int = 3, shift: int = 0) -> Entry:
    """Return 100 items of which each seed gets so many right, a few others in each seed."""
    rows = {}
    for seed in range(num_seeds):
        correct = np.zeros(100)
        correct[:num_right] = 1
        rows[seed] = {"correct": np.roll(correct, shift + seed)}
    ids = tuple(str(number) for number in range(100))
    return Entry(METRICS["accuracy"], ids, ids, rows)


def runs_of(folder: Path, method: str, wrong: int) -> list[Run]:
    for seed in range(3):
        Made(method=method, seed=seed, items={"glue/sst2": answers(200, wrong, seed)}).write(folder)
    return [run for run in load_records([folder]).runs if run.record.spec.method == method]


def test_compare_reads_two_cells_and_pairs_them(tmp_path: Path) -> None:
    better, worse = runs_of(tmp_path, "lora", 20), runs_of(tmp_path, "head_only", 90)
    found = compare(better, worse, "glue/sst2")
    assert found.estimate == pytest.approx(0.35)
    assert found.low is not None
    assert found.low > 0
    assert (found.num_seeds, found.num_items) == (3, 200)
    with pytest.raises(ValueError, match="glue/rte: need one headline metric"):
        compare(better, worse, "glue/rte")


def test_holm_steps_down_and_stops_at_the_first_that_fails() -> None:
    assert holm({"a": 0.001, "b": 0.02, "c": 0.03, "d": 0.9, "e": None}) == ["a"]
    assert holm({"a": 0.001, "b": 0.012, "c": 0.03}) == ["a", "b", "c"]
    assert holm({}) == []


def test_standing_parts_the_far_from_the_near() -> None:
    found = standing({"best": cell(90), "near": cell(89, shift=1), "far": cell(20)}, higher_is_better=True)
    assert found is not None
    assert (found.best, found.apart, found.together) == ("best", ("far",), ("near",))
    assert found.differences["far"].estimate == pytest.approx(0.7)


def test_a_tie_is_told_the_same_way_whatever_the_order() -> None:
    first = standing({"a": cell(80), "b": cell(80)}, higher_is_better=True)
    second = standing({"b": cell(80), "a": cell(80)}, higher_is_better=True)
    assert first == second
    assert first is not None
    assert first.together == ("b",)


def test_lower_may_be_better() -> None:
    found = standing({"a": cell(80), "b": cell(10)}, higher_is_better=False)
    assert found is not None
    assert found.best == "b"


def test_one_entry_or_nothing_in_common_compares_nothing() -> None:
    one = cell(80)
    assert standing({"a": one}, higher_is_better=True) is None
    first, second = one.part([0, 1], one.item_ids), one.part([2], one.item_ids)
    assert standing({"a": first, "b": second}, higher_is_better=True) is None
    first, second = one.part([0, 1], one.item_ids[:50]), one.part([0, 1], one.item_ids[50:])
    assert standing({"a": first, "b": second}, higher_is_better=True) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.sets(st.integers(0, 3), min_size=1), st.integers(1, 100)),
        min_size=2,
        max_size=4,
    ),
    st.booleans(),
)
def test_the_best_is_never_worse_than_what_it_is_compared_with(
    facts: list[tuple[int, set[int], int]], higher_is_better: bool
) -> None:
    entries = {}
    for number, (num_right, seeds, num_items) in enumerate(facts):
        whole = cell(num_right, num_seeds=4, shift=10 * number)
        entries[f"m{number}"] = whole.part(sorted(seeds), whole.item_ids[:num_items])
    found = standing(entries, higher_is_better)
    if found is not None:
        sign = 1 if higher_is_better else -1
        assert all(sign * difference.estimate >= -1e-12 for difference in found.differences.values())
        assert found.differences.keys() == entries.keys() - {found.best}
