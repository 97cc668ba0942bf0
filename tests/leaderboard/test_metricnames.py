"""Names of metrics as people know them."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import harness.metrics
from harness.metric import METRICS
from leaderboard.metricnames import metric_name, told_apart


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("accuracy", "accuracy"),
        ("accuracy_and_f1", "mean of accuracy and F1"),
        ("labels.accuracy_and_macro_f1", "mean of accuracy and macro F1"),
        ("mean.acc", "accuracy"),
        ("mean.acc_norm", "accuracy by likelihood per character"),
        ("mean.some_thing", "some thing"),
        ("lm.f1:macro_f1", "macro F1"),
        ("lm.word_perplexity", "word perplexity"),
        ("squad.exact_match", "exact match"),
        ("e2e.rouge_l", "ROUGE-L"),
        ("corpus.chrf", "chrF++"),
        ("lm.chrf", "chrF"),
        ("multirc.f1a_and_em", "mean of F1 of answers and questions answered in full"),
    ],
)
def test_a_metric_is_called_what_people_call_it(metric: str, name: str) -> None:
    assert metric_name(metric) == name


def test_no_metric_of_the_harness_shows_the_file_that_it_is_in() -> None:
    homes = [one.name for one in pkgutil.iter_modules(harness.metrics.__path__) if not one.ispkg]
    tables = [importlib.import_module(f"harness.metrics.{home}").METRICS for home in homes]
    ids = [metric.name for table in [METRICS, *tables] for metric in table.values()]
    assert len(ids) > 30
    for name in map(metric_name, ids):
        assert name
        assert not {"_", ".", ":"} & set(name)


def test_metrics_that_share_a_name_keep_their_ids() -> None:
    assert told_apart(["accuracy", "f1"]) == ["accuracy", "F1"]
    assert told_apart(["accuracy", "f1", "mean.acc"]) == ["accuracy", "F1", "mean.acc"]
    assert told_apart([]) == []
