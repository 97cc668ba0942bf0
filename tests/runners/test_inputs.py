"""Runs on marked spans and on candidates: any method, warm or fresh, checkpointed, and exported where that can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.data import DataSource
from harness.errors import UserError
from harness.spec import Spec
from runners.execute import Outcome
from runners.export import export
from runners.warm import Warm
from runners.worker import run_one
from tests.methods.attaching import targets_of
from tests.runners.faulty import printing_as_a_worker
from tests.runners.specs import run
from tests.runners.test_submission import write_mirror

TASKS = ("superglue/wsc", "superglue/copa")
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("lora", {}),
    ("random_mask", {}),
    ("fish", {"labels": "expected", "samples": 8}),
    ("pst", {}),
    ("qgoft", {}),
    ("adapter", {}),
    ("full", {}),
    ("head_only", {}),
    ("base", {}),
    ("peft/prompt_tuning", {"num_virtual_tokens": 3}),
    ("peft/ia3", {}),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    return write_mirror(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def warm(source: DataSource) -> Warm:
    return Warm(source, "cpu")


def spec(task: str, method: str, backbone: str = "tiny:bert", **values: Any) -> Spec:
    training = {"epochs": 1, "batch_size": 8, "max_length": 96, "lr": 1e-2, **values.pop("training", {})}
    has_knob = "budget" in registry.find("method", method).card and "/" not in method
    asked = {
        "backbone": backbone,
        "method": method,
        "values": values.pop("config", {}),
        "budget": {"fraction": 0.1} if has_knob else None,
        "targets": targets_of(method) if "/" not in method else "linear",
        "train": task,
        "score": (task,),
        "protocol": "classify",
        "sizes": {"train": 24, "validation": 4, "test": 20},
        "training": training,
    }
    return Spec.model_validate({**asked, **values})


def said(outcome: Outcome) -> list[Any]:
    assert outcome.items is not None
    return [*outcome.items["prediction"].to_pylist(), *(epoch.validation_loss for epoch in outcome.validation)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("method", "config"), METHODS, ids=[name for name, _ in METHODS])
def test_every_kind_of_method_runs_and_leaves_the_backbone_as_it_was(
    task: str, method: str, config: dict[str, Any], warm: Warm
) -> None:
    outcome = run(spec(task, method, config=config), warm)
    assert outcome.reusable
    assert outcome.counts is not None
    assert outcome.counts.head == (2 * 3 * 32 + 2 if task == TASKS[0] else 32 + 1)
    (score,) = outcome.scores
    assert score.num_items == 20


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("backbone", ["tiny:deberta-v2", "tiny:gpt2", "tiny:opt"])
def test_a_warm_worker_says_what_a_fresh_one_says(task: str, backbone: str, source: DataSource) -> None:
    asked = spec(task, "lora", backbone)
    worker = Warm(source, "cpu")
    first = run(asked, worker)
    run(spec(task, "full", backbone, seed=1), worker)
    assert said(run(asked, worker)) == said(first) == said(run(asked, Warm(source, "cpu")))


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpointed_run_is_the_plain_run(task: str, warm: Warm) -> None:
    plain = run(spec(task, "lora"), warm)
    checkpointed = run(spec(task, "lora", training={"gradient_checkpointing": True}), warm)
    losses = [[epoch.validation_loss for epoch in one.validation] for one in (plain, checkpointed)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_two_tasks_of_other_inputs_share_a_worker(warm: Warm) -> None:
    for task in (*TASKS, "superglue/cb", *TASKS):
        assert run(spec(task, "bitfit"), warm).reusable


@pytest.mark.parametrize("task", TASKS)
def test_frozen_weights_may_be_bf16(task: str, source: DataSource) -> None:
    outcome = run(spec(task, "lora", "tiny:llama", training={"dtype": "bfloat16"}), Warm(source, "cpu"))
    assert outcome.reusable
    assert all(epoch.validation_loss is not None for epoch in outcome.validation)


CARD = """
title: Mine
data: {{train: rows.jsonl, evaluation: rows.jsonl}}
columns: {columns}
labels: [cold, warm]
protocol: classify
metric: accuracy
"""
OWN = {
    "spans": (
        "{text: s, span1_start: b, span1_end: e, label: y}",
        [{"s": "a red one", "b": 2, "e": 5, "y": 1}, {"s": "a blue one", "b": 2, "e": 6, "y": 0}],
    ),
    "candidates": (
        "{text: s, candidates: c, label: y}",
        [{"s": "warm?", "c": ["blue", "red"], "y": 1}, {"s": "warm?", "c": ["pink", "grey", "mint"], "y": 0}],
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_a_card_of_ones_own_rows_is_enough(name: str, tmp_path: Path) -> None:
    columns, rows = OWN[name]
    (tmp_path / "mine.yaml").write_text(CARD.format(columns=columns), encoding="utf-8")
    lines = "".join(f"{json.dumps(row)}\n" for row in rows * 20)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    outcome = run(spec(f"yaml:{tmp_path / 'mine.yaml'}", "lora"), Warm(DataSource(), "cpu"))
    assert outcome.scores[0].num_items == 20
    assert "stand in the training rows too" in " ".join(outcome.notes)


def kept(asked: Spec, out: Path, warm: Warm) -> str:
    out.mkdir(exist_ok=True)
    with printing_as_a_worker():
        record, _, _ = run_one(asked, out, warm, None, "all", lambda event: None)
    assert record.status == "ok", record.error
    return record.run_id


def test_a_model_of_spans_is_not_exported_and_the_reason_is_named(tmp_path: Path, warm: Warm) -> None:
    run_id = kept(spec(TASKS[0], "lora"), tmp_path / "runs", warm)
    with pytest.raises(UserError, match=f"run {run_id} has no model to export: superglue/wsc marks spans"):
        export(run_id, [tmp_path / "runs"], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_of_candidates_is_exported_and_scores_one_at_a_time(tmp_path: Path, warm: Warm) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run_id = kept(spec(TASKS[1], "lora"), tmp_path / "runs", warm)
    written = export(run_id, [tmp_path / "runs"], tmp_path / "model")
    model, report = AutoModelForSequenceClassification.from_pretrained(written, output_loading_info=True)
    assert not any(report.values()), report
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(written)
    with torch.no_grad():
        scores = model.eval()(**tokenizer("red blue", "What happened as a result? pink", return_tensors="pt")).logits
    assert scores.shape == (1, 1)
