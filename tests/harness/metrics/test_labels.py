"""Metrics over all classes alike are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from harness.metrics.labels import METRICS

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@given(pairs, st.data())
def test_macro_f1_is_that_of_scikit_learn(drawn: list[tuple[int, int]], data: st.DataObject) -> None:
    predicted, actual = map(list, zip(*drawn, strict=True))
    metric = METRICS["macro_f1"]
    rows = metric.rows(predicted, actual)
    assert metric.score(rows) == pytest.approx(f1_score(actual, predicted, average="macro"), abs=1e-12)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(drawn), max_size=len(drawn)).filter(any))
    actual, predicted = np.repeat(actual, weights), np.repeat(predicted, weights)
    assert metric.score(rows, np.array(weights, np.float64)) == pytest.approx(
        f1_score(actual, predicted, average="macro"), abs=1e-12
    )


@given(pairs)
def test_accuracy_and_macro_f1_is_the_mean_of_both(drawn: list[tuple[int, int]]) -> None:
    predicted, actual = map(list, zip(*drawn, strict=True))
    metric = METRICS["accuracy_and_macro_f1"]
    expected = (accuracy_score(actual, predicted) + f1_score(actual, predicted, average="macro")) / 2
    assert metric.score(metric.rows(predicted, actual)) == pytest.approx(expected, abs=1e-12)
