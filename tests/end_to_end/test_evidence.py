"""The committed records say what the project says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from harness import registry
from harness.record import ITEMS_FILE, RECORD_FILE
from leaderboard.compare import compare
from leaderboard.load import Run, load_records

RECORDS = Path(__file__).parents[2] / "leaderboard" / "records"
QUICK = {
    "classify": "embedded/polarity",
    "span": "embedded/span",
    "prompt": "embedded/choice",
    "generate": "embedded/record",
    "image": "embedded/shapes",
}
"""Protocol to the generated task that the suite quick meets through it."""
MEGABYTES = 20


def runs_of(suite: str, method: str, task: str, budget: str | None = None) -> list[Run]:
    return [
        run
        for run in load_records([RECORDS / suite]).runs
        if (run.record.spec.method, run.record.spec.train, run.record.status) == (method, task, "ok")
        and (budget is None or str(run.record.spec.budget) == budget)
    ]


def mean(runs: list[Run]) -> float:
    scores = [run.record.scores[0].metrics[run.record.scores[0].headline] for run in runs]
    assert len(scores) == 3
    return float(np.mean([score for score in scores if score is not None]))


@pytest.mark.parametrize(
    ("method", "budget"),
    [("lora", "9,216"), ("random_mask", "2,304"), ("random_mask", "9,216"), ("fish", "9,216"), ("goft", None)],
)
def test_on_sst2_the_gain_over_the_head_alone_is_beyond_chance(method: str, budget: str | None) -> None:
    better = runs_of("glue_minilm", method, "glue/sst2", budget)
    head = runs_of("glue_minilm", "head_only", "glue/sst2")
    assert len(better) == len(head) == 3
    difference = compare(better, head, "glue/sst2")
    assert difference.low is not None
    assert difference.low > 0, difference


@pytest.mark.parametrize("budget", ["9,216", "147,456"])
def test_on_sst2_random_masking_is_near_lora_at_equal_budget_with_a_larger_rate(budget: str) -> None:
    mask, lora = (runs_of("glue_minilm", method, "glue/sst2", budget) for method in ("random_mask", "lora"))
    assert {run.record.counts.trained for run in (*mask, *lora) if run.record.counts} == {int(budget.replace(",", ""))}
    assert min(run.record.spec.training.lr for run in mask) > 3 * max(run.record.spec.training.lr for run in lora)
    difference = compare(mask, lora, "glue/sst2")
    assert difference.low is not None
    assert difference.low > -0.03, difference


@pytest.mark.parametrize(("protocol", "task"), QUICK.items(), ids=QUICK)
def test_a_generated_task_of_each_protocol_needs_a_tuned_backbone(protocol: str, task: str) -> None:
    tuned = runs_of("quick", "full", task)
    assert {run.record.spec.protocol for run in tuned} == {protocol}
    assert mean(tuned) >= mean(runs_of("quick", "base", task)) + 0.15


def test_the_generated_opinions_are_not_solved_by_the_head_alone_nor_by_counting_words() -> None:
    task = QUICK["classify"]
    full, head = mean(runs_of("quick", "full", task)), mean(runs_of("quick", "head_only", task))
    assert full >= head + 0.15
    assert full < 0.97
    assert bag_of_words(task) <= full - 0.10


def bag_of_words(task: str) -> float:
    """Return the accuracy of a logistic regression on word counts, each text of a pair with words of its own."""
    object_, texts = registry.load_task(task), ("text", "text_pair")
    train, evaluation = object_.table("train"), object_.table("evaluation")
    columns = object_.card.columns
    sides = [columns[field] for field in texts if field in columns]
    counters = {side: CountVectorizer().fit(train[side].to_pylist()) for side in sides}
    features = [
        np.hstack([counters[side].transform(table[side].to_pylist()).toarray() for side in sides])
        for table in (train, evaluation)
    ]
    model = LogisticRegression(max_iter=1000).fit(features[0], train[columns["label"]].to_pylist())
    return float(model.score(features[1], evaluation[columns["label"]].to_pylist()))


def test_published_records_are_whole_and_small() -> None:
    loaded = load_records([RECORDS])
    assert loaded.unreadable == []
    assert len(loaded.runs) > 100
    files = [path for path in RECORDS.rglob("*") if path.is_file()]
    assert {path.name for path in files} <= {RECORD_FILE, ITEMS_FILE}
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 2**20
    ran = [run for run in loaded.runs if run.record.status != "not_applicable"]
    assert all(run.record.environment["dirty"] is False for run in ran)
