"""Pairs: parity asks only whether both items of a pair are given one class; accuracy is scikit-learn's."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from harness.metrics.pairs import METRICS


def score(name: str, predictions: list[int], labels: list[int], pairs: list[str]) -> float:
    references = [{"label": label, "pair": pair} for label, pair in zip(labels, pairs, strict=True)]
    return METRICS[name].score(METRICS[name].rows(predictions, references))


@pytest.mark.parametrize(
    ("predictions", "parity"),
    [([0, 0, 1, 1], 1.0), ([0, 1, 1, 1], 0.5), ([1, 0, 0, 1], 0.0), ([1, 1, 0, 0], 1.0)],
)
def test_parity_is_the_share_of_pairs_with_one_answer_right_or_wrong(predictions: list[int], parity: float) -> None:
    assert score("parity", predictions, [0, 0, 1, 1], ["a", "a", "b", "b"]) == parity


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12))
def test_parity_and_accuracy_of_whole_pairs_are_counted(drawn: list[tuple[int, int]]) -> None:
    predictions = [one for pair in drawn for one in pair]
    pairs = [str(number) for number in range(len(drawn)) for _ in range(2)]
    labels = [number % 2 for number in range(len(drawn)) for _ in range(2)]
    by_pair: dict[str, list[int]] = defaultdict(list)
    for prediction, pair in zip(predictions, pairs, strict=True):
        by_pair[pair].append(prediction)
    expected = np.mean([first == second for first, second in by_pair.values()])
    assert score("parity", predictions, labels, pairs) == pytest.approx(expected)
    assert score("accuracy", predictions, labels, pairs) == pytest.approx(accuracy_score(labels, predictions))


def test_a_reference_without_its_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="pairs.parity: reference 0 is 1; .*pair"):
        METRICS["parity"].rows([1], [1])
