"""Flips: items won and lost between two runs, and the exact test of their counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.metric import METRICS, find
from leaderboard.flips import Flips, flips, sign_test, worth
from leaderboard.statistics import Entry


def entry(
    metric_name: str, predictions: list[float], references: list[float], clusters: list[str] | None = None
) -> Entry:
    metric = find(metric_name)
    ids = tuple(f"item {number}" for number in range(len(predictions)))
    return Entry(metric, ids, tuple(clusters or ids), {0: metric.rows(predictions, references)})


REFERENCES = [1.0, 0.0, 1.0, 0.0, 1.0]
OURS = [1.0, 0.0, 1.0, 1.0, 1.0]
THEIRS = [0.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews", "accuracy_and_f1", "labels.macro_f1"])
def test_every_metric_of_classes_knows_right_from_wrong(metric: str) -> None:
    found = flips(entry(metric, OURS, REFERENCES), entry(metric, THEIRS, REFERENCES), 0, True)
    assert isinstance(found, Flips)
    assert (found.better, found.worse) == ("right", "wrong")
    assert found.won == ("item 0", "item 2")
    assert found.lost == ("item 3",)
    assert (found.num_items, found.p_value) == (5, 1.0)


def test_a_correlation_speaks_of_no_single_item() -> None:
    one = entry("pearson", [0.1, 0.7, 0.3], [0.5, 1.5, 2.5])
    assert flips(one, one, 0, True) == "Pearson correlation speaks of all items together, not of one"


def test_a_single_statistic_has_the_direction_of_its_metric() -> None:
    rows = {"seconds": np.array([1.0, 2.0])}
    low, high = worth(rows, higher_is_better=False), worth(rows, higher_is_better=True)
    assert low is not None
    assert high is not None
    assert low.values.argmax() == 0
    assert high.values.argmax() == 1
    assert (low.better, low.worse) == ("better", "worse")
    judged = worth({"score": np.array([1.0, 0.0])}, higher_is_better=True)
    assert judged is not None
    assert judged.better == "right"
    assert worth({"ngrams": np.ones(2), "length": np.ones(2)}, higher_is_better=True) is None


def test_items_are_paired_by_id_not_by_place() -> None:
    ours, theirs = entry("accuracy", OURS, REFERENCES), entry("accuracy", THEIRS, REFERENCES)
    turned = theirs.part([0], list(theirs.item_ids[:0:-1]))
    found = flips(ours, turned, 0, True)
    assert isinstance(found, Flips)
    assert (found.won, found.lost, found.num_items) == (("item 2",), ("item 3",), 4)


def test_items_in_groups_and_missing_seeds_have_no_p_value() -> None:
    clusters = ["a", "a", "a", "b", "b"]
    ours, theirs = (entry("accuracy", given, REFERENCES, clusters) for given in (OURS, THEIRS))
    found = flips(ours, theirs, 0, True)
    assert isinstance(found, Flips)
    assert found.p_value is None
    assert flips(ours, theirs, 1, True) == "it has no result of seed 1"
    other = Entry(METRICS["accuracy"], ("else",), ("else",), {0: {"correct": np.ones(1)}})
    assert flips(ours, other, 0, True) == "they share no item"


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_exact_test_is_the_binomial_one(won: int, lost: int) -> None:
    expected = stats.binomtest(won, won + lost, 0.5).pvalue if won + lost else 1.0
    assert sign_test(won, lost) == pytest.approx(expected, rel=1e-9)
