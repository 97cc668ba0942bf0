"""Every metric gives the number of scikit-learn or SciPy, and multiplicities mean repeated rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef  # type: ignore[import-untyped]

from harness.metric import METRICS

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]

CLASSIFICATION = ("accuracy", "matthews", "f1", "accuracy_and_f1")
REGRESSION = ("pearson", "spearman", "pearson_and_spearman")


@st.composite
def pairs(draw: st.DrawFn, values: st.SearchStrategy[float], smallest: int = 1) -> Pair:
    size = draw(st.integers(smallest, 40))
    predicted, actual = (draw(st.lists(values, min_size=size, max_size=size)) for _ in range(2))
    return np.array(predicted, dtype=np.float64), np.array(actual, dtype=np.float64)


def classes(count: int) -> st.SearchStrategy[Pair]:
    return pairs(st.integers(0, count - 1))


# Quarters give many ties; thousandths give few.
numbers = pairs(st.integers(0, 20).map(lambda k: k / 4), smallest=2) | pairs(
    st.integers(-5000, 5000).map(lambda k: k / 1000), smallest=2
)
anything = classes(4) | numbers


@st.composite
def weighted(draw: st.DrawFn) -> tuple[Pair, NDArray[np.int64]]:
    pair = draw(anything)
    size = pair[0].size
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    assume(weights.sum() > 0)
    return pair, weights


def score(name: str, pair: Pair, weights: NDArray[np.float64] | None = None) -> float:
    metric = METRICS[name]
    return metric.score(metric.rows(*pair), weights)


def varies(pair: Pair) -> bool:
    return all(np.unique(side).size > 1 for side in pair)


def test_every_metric_is_compared_with_a_reference() -> None:
    assert set(METRICS) == {*CLASSIFICATION, *REGRESSION}


@given(classes(2) | classes(5))
def test_accuracy_is_that_of_scikit_learn(pair: Pair) -> None:
    assert score("accuracy", pair) == pytest.approx(accuracy_score(pair[1], pair[0]), abs=1e-12)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@given(classes(2) | classes(5))
def test_matthews_is_that_of_scikit_learn(pair: Pair) -> None:
    assert score("matthews", pair) == pytest.approx(matthews_corrcoef(pair[1], pair[0]), abs=1e-12)


@given(classes(2) | classes(5))
def test_f1_is_that_of_class_one_in_scikit_learn(pair: Pair) -> None:
    expected = f1_score(pair[1] == 1, pair[0] == 1, zero_division=0.0)
    assert score("f1", pair) == pytest.approx(expected, abs=1e-12)


@given(numbers)
def test_pearson_is_that_of_scipy(pair: Pair) -> None:
    assume(varies(pair))
    assert score("pearson", pair) == pytest.approx(pearsonr(*pair).statistic, abs=1e-9)


@given(numbers)
def test_spearman_is_that_of_scipy(pair: Pair) -> None:
    assume(varies(pair))
    assert score("spearman", pair) == pytest.approx(spearmanr(*pair).statistic, abs=1e-9)


@given(numbers)
def test_correlations_ignore_scale_and_place(pair: Pair) -> None:
    assume(varies(pair))
    moved = (pair[0] * 3 + 1000, pair[1] / 5 - 7)
    for name in REGRESSION:
        assert score(name, moved) == pytest.approx(score(name, pair), abs=1e-8)


@given(classes(3))
def test_accuracy_and_f1_is_the_mean_of_both(pair: Pair) -> None:
    assert score("accuracy_and_f1", pair) == pytest.approx((score("accuracy", pair) + score("f1", pair)) / 2)


@given(numbers)
def test_pearson_and_spearman_is_the_mean_of_both(pair: Pair) -> None:
    expected = (score("pearson", pair) + score("spearman", pair)) / 2
    assert score("pearson_and_spearman", pair) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_perfect_answers_reach_one(name: str) -> None:
    truth = np.array([0.0, 1.0, 1.0, 0.0, 2.0])
    assert score(name, (truth, truth)) == pytest.approx(1.0)


@pytest.mark.parametrize("name", REGRESSION)
@given(pair=numbers, constant=st.floats(-5, 5))
def test_a_correlation_with_a_constant_is_undefined(name: str, pair: Pair, constant: float) -> None:
    still = np.full_like(pair[0], constant)
    assert math.isnan(score(name, (still, pair[1])))
    assert math.isnan(score(name, (pair[0], still)))


@pytest.mark.parametrize("name", METRICS)
@given(case=weighted())
def test_a_weight_is_a_number_of_repetitions(name: str, case: tuple[Pair, NDArray[np.int64]]) -> None:
    (predicted, actual), weights = case
    repeated = (np.repeat(predicted, weights), np.repeat(actual, weights))
    expected = score(name, repeated)
    assert score(name, (predicted, actual), weights.astype(np.float64)) == pytest.approx(
        expected, abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize("name", METRICS)
@given(pair=anything, data=st.data())
def test_weight_zero_deletes_an_item(name: str, pair: Pair, data: st.DataObject) -> None:
    assume(pair[0].size > 1)
    left_out = data.draw(st.integers(0, pair[0].size - 1))
    weights = np.ones_like(pair[0])
    weights[left_out] = 0
    rest = (np.delete(pair[0], left_out), np.delete(pair[1], left_out))
    assert score(name, pair, weights) == pytest.approx(score(name, rest), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
@given(pair=anything)
def test_the_order_of_items_does_not_matter(name: str, pair: Pair) -> None:
    backwards = (pair[0][::-1], pair[1][::-1])
    assert score(name, backwards) == pytest.approx(score(name, pair), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_a_score_of_nothing_is_undefined(name: str) -> None:
    assert math.isnan(score(name, (np.array([0.0, 1.0]), np.array([0.0, 1.0])), np.zeros(2)))


@pytest.mark.parametrize("name", METRICS)
@given(pair=anything)
def test_rows_have_the_stated_columns_and_one_value_per_item(name: str, pair: Pair) -> None:
    rows = METRICS[name].rows(*pair)
    assert tuple(rows) == METRICS[name].statistics
    assert all(column.shape == pair[0].shape and column.dtype == np.float64 for column in rows.values())


@pytest.mark.parametrize("name", METRICS)
def test_lists_and_arrays_of_any_number_type_give_equal_rows(name: str) -> None:
    predicted, actual = [0, 1, 2, 1], [0, 1, 1, 0]
    expected = METRICS[name].rows(predicted, actual)
    for dtype in (np.int64, np.int32, np.float32):
        rows = METRICS[name].rows(np.array(predicted, dtype), np.array(actual, dtype))
        assert all(np.array_equal(rows[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [
        ([1.0, 0.0], [1.0], "2 predictions and 1 references must be equally long"),
        ([[1.0], [0.0]], [[1.0], [0.0]], r"\(2, 1\).* must be equally long lists"),
        ([], [], "no items to score"),
        ([1.0, float("nan")], [1.0, 0.0], "must be finite"),
        ([1.0, 0.0], [1.0, float("inf")], "must be finite"),
    ],
)
def test_bad_input_is_refused_by_name(name: str, predicted: list[float], actual: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*{message}"):
        METRICS[name].rows(predicted, actual)
