"""Comparisons: paired on what both cells have, corrected for how many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.metric import METRICS
from leaderboard.compare import below_best, compare, detectable, standing, told_apart
from leaderboard.load import Run, load_records
from leaderboard.regressions import holm
from leaderboard.statistics import Entry
from tests.leaderboard.making import Made, answers
from tests.leaderboard.simulated import answers as simulated
from tests.leaderboard.simulated import panel


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


def test_the_choice_of_the_best_is_paid_for() -> None:
    # Three others: 6, 3 and 1 pairs are left as entries leave.
    assert below_best({"a": 0.008, "b": 0.016, "c": 0.049, "d": None}) == ["a", "b", "c"]
    assert below_best({"a": 0.009, "b": 0.016, "c": 0.049}) == []
    assert below_best({"a": 0.017, "b": 0.02, "c": 0.001}) == ["c"]
    assert below_best({"a": 0.05}) == ["a"]


def test_told_apart_is_holm_over_all_pairs_and_what_is_below_the_best() -> None:
    found = panel(simulated(np.random.default_rng(4), 1, [0.0, 0.1, 1.2, 1.6, 3.0], (3, 300), [0.1] * 5)[0])
    p_value = found.pairs.p_value
    pairs = {f"{a} {b}": float(p_value[a, b]) for a in range(5) for b in range(a)}
    best = int(found.order[0])
    expected = {frozenset(map(int, name.split())) for name in holm(pairs)}
    expected |= {frozenset((best, int(name))) for name in below_best({str(k): p_value[best, k] for k in range(4)})}
    apart = told_apart(found)
    assert {frozenset((a, b)) for a in range(5) for b in range(5) if apart[a, b]} == expected
    assert (apart == apart.T).all()
    assert 0 < apart.sum() < 20


@pytest.mark.parametrize("degrees", [2.0, 7.5, 400.0])
def test_detectable_is_found_in_80_percent_of_repetitions(degrees: float) -> None:
    (least,) = detectable(np.array([0.01]), np.array([degrees]), 5)
    critical = stats.t.isf(0.05 / 10 / 2, degrees)
    assert stats.nct.sf(critical, degrees, least / 0.01) == pytest.approx(0.8, abs=1e-6)
    assert np.isnan(detectable(np.array([np.nan]), np.array([degrees]), 5)).all()


def test_the_family_of_one_pair_is_the_paired_t_test_of_scipy() -> None:
    # Seeds that agree leave the items alone: the paired difference is scipy's paired t test.
    stream = np.random.default_rng(6)
    rows = (stream.random((2, 200)) < [[0.8], [0.7]]).astype(float)
    units = np.repeat(rows[:, None], 3, axis=1)
    expected = stats.ttest_rel(rows[0], rows[1])
    found = panel(units)
    assert found.pairs.p_value[0, 1] == pytest.approx(expected.pvalue)
    assert found.pairs.difference[0, 1] / found.pairs.error[0, 1] == pytest.approx(expected.statistic)


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
