"""Intervals: closed forms by hand, the edges of the data, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from harness.metric import METRICS, Rows
from leaderboard.statistics import (
    ITEMS_ONLY,
    SEEDS_AND_ITEMS,
    Entry,
    mean_interval,
    paired_difference,
    pseudo_values,
    score_interval,
)

Matrix = NDArray[np.float64]


def entry(metric: str, predictions: Matrix, references: Matrix, clusters: list[str] | None = None) -> Entry:
    """Return the cell of several seeds' predictions [seeds, items]."""
    ids = tuple(f"i{number}" for number in range(references.size))
    rows = {seed: METRICS[metric].rows(one, references) for seed, one in enumerate(predictions)}
    return Entry(METRICS[metric], ids, tuple(clusters) if clusters else ids, rows)


def test_one_seed_is_student_t_over_items_and_never_ranks() -> None:
    values = np.array([[1.0, 0.0, 1.0, 1.0, 0.0]])
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 4, loc=0.6, scale=stats.sem(values[0]))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.6, low, high))
    assert found.basis == ITEMS_ONLY
    assert not found.ranks


def test_two_way_variance_follows_the_mean_squares() -> None:
    values = np.array([[3.0, 5.0, 7.0, 6.0], [4.0, 9.0, 8.0, 9.0], [1.0, 2.0, 5.0, 3.0]])
    seeds, items = values.shape
    mean, by_seed, by_item = values.mean(), values.mean(1), values.mean(0)
    ms_seed = items * by_seed.var(ddof=1)
    ms_item = seeds * by_item.var(ddof=1)
    ms_residual = ((values - by_seed[:, None] - by_item + mean) ** 2).sum() / 6
    variance = ms_seed + ms_item - ms_residual
    degrees = variance**2 / (ms_seed**2 / 2 + ms_item**2 / 3 + ms_residual**2 / 6)
    found = mean_interval(values)
    assert found.error == pytest.approx((variance / 12) ** 0.5)
    assert found.degrees == pytest.approx(max(1, degrees))
    assert found.high == pytest.approx(mean + stats.t.ppf(0.975, max(1, degrees)) * (variance / 12) ** 0.5)
    assert found.basis == SEEDS_AND_ITEMS


def test_seeds_that_agree_leave_the_spread_of_items() -> None:
    one = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    found = mean_interval(np.stack([one, one, one]))
    low, high = stats.t.interval(0.95, 5, loc=one.mean(), scale=stats.sem(one))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_items_that_agree_leave_the_spread_of_seeds() -> None:
    by_seed = np.array([0.2, 0.5, 0.9])
    found = mean_interval(np.repeat(by_seed[:, None], 50, axis=1))
    low, high = stats.t.interval(0.95, 2, loc=by_seed.mean(), scale=stats.sem(by_seed))
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 9), (3, 9)])
def test_data_without_spread_have_no_interval_and_say_why(shape: tuple[int, int]) -> None:
    found = mean_interval(np.full(shape, 0.1))
    assert found.estimate == pytest.approx(0.1)
    assert found.low is None
    assert found.high is None
    assert found.basis == (
        "one item shows no spread of items" if shape[1] == 1 else "all items agree, so no spread is seen"
    )
    assert not found.ranks


def test_an_empty_matrix_is_refused_with_its_shape() -> None:
    with pytest.raises(ValueError, match=r"\(3, 0\)"):
        mean_interval(np.empty((3, 0)))


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 8)), elements=st.sampled_from([0.0, 1.0])))
def test_interval_holds_its_mean_and_forgets_the_order_of_seeds_and_items(values: Matrix) -> None:
    found, turned = mean_interval(values), mean_interval(values[::-1, ::-1])
    assert found.basis == turned.basis
    if found.low is not None and found.high is not None:
        assert found.low < found.estimate < found.high
        assert (turned.low, turned.high) == pytest.approx((found.low, found.high))


def test_pseudo_values_of_accuracy_are_the_items_themselves() -> None:
    correct = np.array([1.0, 0.0, 1.0, 1.0])
    direct = pseudo_values(METRICS["accuracy"], {"correct": correct}, np.arange(4))
    by_jackknife = [4 * correct.mean() - 3 * np.delete(correct, number).mean() for number in range(4)]
    assert direct == pytest.approx(correct)
    assert by_jackknife == pytest.approx(correct)


@pytest.mark.parametrize("metric", ["matthews", "f1", "pearson_and_spearman", "accuracy_and_f1"])
def test_jackknife_of_one_seed_is_the_textbook_one(metric: str) -> None:
    stream = np.random.default_rng(5)
    references = stream.integers(0, 2, 40).astype(np.float64)
    predictions = np.where(stream.random(40) < 0.8, references, 1 - references)
    rows: Rows = METRICS[metric].rows(predictions, references)
    without = [
        METRICS[metric].score({name: np.delete(column, number) for name, column in rows.items()})
        for number in range(40)
    ]
    error = (39 / 40 * ((np.array(without) - np.mean(without)) ** 2).sum()) ** 0.5
    found = score_interval(entry(metric, predictions[None], references))
    assert found.error == pytest.approx(error)
    assert found.estimate == pytest.approx(METRICS[metric].score(rows))
    assert (found.num_seeds, found.num_items) == (1, 40)


def test_clusters_widen_the_interval_as_whole_units() -> None:
    right = np.repeat([1.0, 1.0, 0.0, 1.0, 0.0, 1.0], 5)
    references = np.ones(30)
    predictions = np.stack([right, right])
    alone = score_interval(entry("accuracy", predictions, references))
    together = score_interval(entry("accuracy", predictions, references, [f"c{number // 5}" for number in range(30)]))
    assert together.estimate == alone.estimate == pytest.approx(2 / 3)
    assert together.error is not None
    assert together.error == pytest.approx(stats.sem([1.0, 1.0, 0.0, 1.0, 0.0, 1.0]))
    assert alone.error is not None
    assert together.error > alone.error
    assert together.num_items == 30


def test_undefined_without_some_item_is_no_interval() -> None:
    references = np.array([1.0, 2.0, 2.0])
    found = score_interval(entry("pearson", np.array([[1.0, 2.0, 2.5]] * 2), references))
    assert found.low is None
    assert found.basis == "the metric is undefined when some item is left out"


def test_paired_difference_uses_common_seeds_and_items_and_turns_its_sign() -> None:
    stream = np.random.default_rng(8)
    references = stream.integers(0, 2, 60).astype(np.float64)
    first = entry("accuracy", np.where(stream.random((3, 60)) < 0.9, references, 1 - references), references)
    second = entry("accuracy", np.where(stream.random((3, 60)) < 0.6, references, 1 - references), references)
    fewer = second.part([1, 2], second.item_ids[10:][::-1])
    there, back = paired_difference(first, fewer), paired_difference(fewer, first)
    assert (there.num_seeds, there.num_items) == (2, 50)
    rows_a, rows_b = (np.stack([e.rows[seed]["correct"][10:] for seed in (1, 2)]) for e in (first, second))
    expected = mean_interval(rows_a - rows_b)
    assert (there.estimate, there.low, there.high) == pytest.approx((expected.estimate, expected.low, expected.high))
    assert there.low is not None
    assert back.high == pytest.approx(-there.low)


def test_nothing_to_pair_is_refused() -> None:
    cell = entry("accuracy", np.ones((2, 4)), np.ones(4))
    with pytest.raises(ValueError, match="nothing to pair"):
        paired_difference(cell.part([0], cell.item_ids), cell.part([1], cell.item_ids))
    with pytest.raises(ValueError, match="compare one metric"):
        paired_difference(cell, entry("f1", np.ones((2, 4)), np.ones(4)))
