"""Every metric of a family x every promise of the contract."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metric import METRICS, Metric, find, module_of
from harness.registry import ROOT
from tests.harness.metrics.samples import (
    LESS_IS_BETTER,
    NEED_JAVA,
    NOT_HIGHEST,
    PASSAGES,
    Items,
    all_names,
    items,
    metrics,
    passages,
    perfect,
    quick_names,
)

every_metric = pytest.mark.parametrize("metric", metrics(), ids=quick_names())


CEILING: dict[str, Items] = {
    "numbers": ([0, 1, 2], [0, 1, 2]),
    "given": ([1.0, 1.0], [None, None]),
    "label of a question": (
        [1, 0, 1],
        [{"label": 1, "question": "a"}, {"label": 0, "question": "a"}, {"label": 1, "question": "b"}],
    ),
    "label of a pair": ([1, 1, 0], [{"label": 1, "pair": "a"}, {"label": 1, "pair": "a"}, {"label": 0, "pair": "b"}]),
    "text": (["Paris", "the cat"], [["Paris"], ["dog", "the cat"]]),
    "answer": (["Paris", ""], [["London", "Paris"], []]),
    "judge.rating": ([{"rating": 10.0}], [None]),
    "spans": (["1,500", ["a cat", "Paris"]], [["1500"], [["Paris", "cat"]]]),
}
"""Right predictions of every kind, or of a metric, and what they are scored against."""
HIGHEST = {"judge.rating": 10.0, "e2e.cider": 10.0, "corpus.ter": 0.0}
"""What they reach where that is not 1; NIST's highest depends on the texts."""


OF_ALL_ITEMS = {"e2e.nist", "e2e.cider"}
"""Their n-grams weigh what they weigh in the references of all items together."""


def test_families_hold_many_metrics_and_each_is_named_as_it_is_found() -> None:
    names = all_names()
    assert [find(name).name for name in names] == names
    assert len(names) == len(set(names)) >= 26
    assert len(metrics()) == len(names) - len(NEED_JAVA)
    assert not set(names) & METRICS.keys()
    assert {module_of(name) for name in names} == {f"harness.metrics.{name.partition('.')[0]}" for name in names}


@every_metric
@settings(max_examples=20)
@given(data=st.data())
def test_rows_have_the_stated_columns_and_one_value_per_item(metric: Metric, data: st.DataObject) -> None:
    predictions, references = data.draw(items(metric))
    rows = metric.rows(predictions, references)
    assert tuple(rows) == metric.statistics
    for column in rows.values():
        assert column.shape == (len(predictions),)
        assert column.dtype == np.float64
        assert np.isfinite(column).all()


@every_metric
@settings(max_examples=20)
@given(data=st.data())
def test_weights_of_one_give_the_plain_number(metric: Metric, data: st.DataObject) -> None:
    rows = metric.rows(*data.draw(items(metric)))
    weights = np.ones_like(rows[metric.statistics[0]])
    assert metric.score(rows, weights) == pytest.approx(metric.score(rows), abs=1e-12)


@every_metric
@settings(max_examples=20)
@given(data=st.data())
def test_a_weight_is_a_number_of_repetitions_of_rows(metric: Metric, data: st.DataObject) -> None:
    """Statistics of the whole corpus (document frequencies) stay those of the rows; only multiplicities change."""
    rows = metric.rows(*data.draw(items(metric)))
    num_items = rows[metric.statistics[0]].size
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=num_items, max_size=num_items)))
    repeated = {name: np.repeat(column, weights) for name, column in rows.items()}
    if metric.takes == "label of a question":  # what repeats is a question, and a question's copy is another one
        weights = weights[rows["question"].astype(int)] if "question" in rows else weights
        repeated = _questions_repeated(rows, weights) if "question" in rows else repeated
    if not weights.any():
        assert math.isnan(metric.score(rows, weights.astype(np.float64)))
    else:
        expected = metric.score(repeated)
        assert metric.score(rows, weights.astype(np.float64)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [one for one in metrics() if one.name not in OF_ALL_ITEMS], ids=lambda one: one.name)
@settings(max_examples=20)
@given(data=st.data())
def test_an_item_that_comes_twice_has_the_same_rows_twice(metric: Metric, data: st.DataObject) -> None:
    predictions, references = data.draw(items(metric))
    rows = metric.rows(predictions, references)
    again = metric.rows([predictions[-1], *predictions], [references[-1], *references])
    for name, column in rows.items():
        assert again[name].tolist() == [column[-1], *column]


def _questions_repeated(rows: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    copies = np.concatenate([np.arange(weight) for weight in weights]) if weights.any() else np.zeros(0)
    repeated = {name: np.repeat(column, weights) for name, column in rows.items()}
    return {**repeated, "question": repeated["question"] + 1000 * copies}


@every_metric
@settings(max_examples=20)
@given(data=st.data())
def test_the_order_of_items_does_not_matter(metric: Metric, data: st.DataObject) -> None:
    predictions, references = data.draw(items(metric))
    order = data.draw(st.permutations(range(len(predictions))))
    shuffled = [predictions[i] for i in order], [references[i] for i in order]
    expected = metric.score(metric.rows(predictions, references))
    assert metric.score(metric.rows(*shuffled)) == pytest.approx(expected, abs=1e-9)


@every_metric
@settings(max_examples=20)
@given(data=st.data())
def test_no_prediction_scores_above_the_perfect_one(metric: Metric, data: st.DataObject) -> None:
    predictions, references = data.draw(items(metric))
    best = metric.score(metric.rows(perfect(metric, references), references))
    came = metric.score(metric.rows(predictions, references))
    if metric.name in LESS_IS_BETTER:
        assert best == 0 <= came
    elif metric.name not in NOT_HIGHEST:
        assert came <= best + 1e-9


@every_metric
def test_perfect_predictions_reach_the_ceiling(metric: Metric) -> None:
    predictions, references = CEILING.get(metric.name) or CEILING[metric.takes]
    if metric.name.startswith(("e2e.", "corpus.")):
        predictions, references = PASSAGES, [[passage] for passage in PASSAGES]
    if metric.name == "e2e.nist":
        assert metric.score(metric.rows(predictions, references)) > metric.score(metric.rows([""] * 4, references)) == 0
        return
    assert metric.score(metric.rows(predictions, references)) == pytest.approx(HIGHEST.get(metric.name, 1.0))


@every_metric
def test_different_numbers_of_predictions_and_references_are_refused_by_name(metric: Metric) -> None:
    with pytest.raises(ValueError, match=f"^{metric.name}: 1 predictions and 0 references"):
        metric.rows([None], [])


@settings(max_examples=30)
@given(texts=st.lists(st.tuples(passages(), st.lists(passages(), min_size=1, max_size=2)), min_size=1, max_size=4))
def test_statistics_of_a_name_are_the_same_ones_whatever_the_metric(texts: list[tuple[str, list[str]]]) -> None:
    """A run stores the statistics of all metrics of a card side by side, by their names."""
    _share_a_table([metric for metric in metrics() if metric.takes in ("text", "answer", "spans")], texts)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=8))
def test_statistics_of_classes_are_the_same_ones_whatever_the_metric(classes: list[tuple[int, int]]) -> None:
    _share_a_table([*METRICS.values(), *(metric for metric in metrics() if metric.takes == "numbers")], classes)
    asked = [(said, {"label": right, "question": "a", "pair": "b"}) for said, right in classes]
    _share_a_table([metric for metric in metrics() if metric.takes.startswith("label of")], asked)


def _share_a_table(members: list[Metric], drawn: list[tuple[Any, Any]]) -> None:
    assert len(members) > 4
    predictions, references = [one for one, _ in drawn], [other for _, other in drawn]
    seen: dict[str, np.ndarray] = {}
    for metric in members:
        for name, column in metric.rows(predictions, references).items():
            assert np.array_equal(seen.setdefault(name, column), column), f"{metric.name}: {name}"


def test_finding_and_scoring_load_no_library_of_scorers() -> None:
    """The board needs formulas alone; only the computation of some statistics may load more."""
    code = """
import json, sys
import numpy as np
from harness.metric import find
for name in json.loads(sys.argv[1]):
    metric = find(name)
    metric.score({statistic: np.ones(3) for statistic in metric.statistics})
heavy = {"sacrebleu", "scipy", "sklearn", "nltk", "torch", "datasets", "evaluate"}
print(json.dumps(sorted(heavy & sys.modules.keys())))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(all_names())],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
