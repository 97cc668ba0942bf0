"""Whole runs of generate on a tiny language model: all kinds of method, no reference kept, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.api import load_records
from harness.backbone import locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.single import run_spec
from harness.spec import Spec
from runners.execute import Outcome, execute
from runners.prepare import applicable
from runners.warm import Warm

TASK = "embedded/record"
METHODS: dict[str, dict[str, Any]] = {
    "base": {"targets": "none"},
    "lora": {"values": {"rank": 2}},
    "random_mask": {"budget": {"fraction": 0.05}},
    "goft": {},
    "fish": {"budget": {"fraction": 0.05}, "values": {"samples": 4}},
    "full": {"targets": "all"},
}


def spec(method: str, backbone: str = "tiny:llama", **values: Any) -> Spec:
    training = {"epochs": 1, "batch_size": 16, "max_length": 96, "lr": 1e-2, **values.pop("training", {})}
    asked: dict[str, Any] = {
        "backbone": backbone,
        "method": method,
        "train": TASK,
        "score": (TASK,),
        "protocol": "generate",
        "options": {"max_new_tokens": 12, **values.pop("options", {})},
        "sizes": {"train": 12, "validation": 6, "test": 8},
        **METHODS[method],
    }
    return Spec.model_validate({**asked, **values, "training": training})


def run(asked: Spec, warm: Warm) -> Outcome:
    outcome = Outcome()
    execute(asked, warm, outcome)
    return outcome


@pytest.fixture(scope="module")
def warm() -> Warm:
    return Warm(DataSource(), "cpu")


@pytest.mark.parametrize("backbone", ["tiny:llama", "tiny:gpt2"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_kind_of_method_runs_and_leaves_the_backbone_bit_for_bit(warm: Warm, method: str, backbone: str) -> None:
    asked = spec(method, backbone)
    applicable(asked, locate(backbone))
    first = run(asked, warm)
    assert first.reusable
    (kept,) = [one for key, one in warm.backbones.items() if key.startswith(f"{locate(backbone).digest}/")]
    assert not kept.changed()
    assert kept.model.generation_config.num_beams in (None, 1)
    assert first.counts is not None
    assert (first.counts.head, first.counts.trained > 0) == (0, method != "base")
    assert first.counts.total == kept.num_parameters
    again, alone = run(asked, warm), run(asked, Warm(DataSource(), "cpu"))
    for other in (again, alone):
        assert (other.scores, other.validation, other.items) == (first.scores, first.validation, first.items)


def test_items_hold_what_was_written_and_no_reference(warm: Warm) -> None:
    outcome = run(spec("full"), warm)
    assert outcome.items is not None
    (score,) = outcome.scores
    assert score.num_items == outcome.items.num_rows == 8
    assert score.metrics.keys() == {"e2e.bleu", "e2e.rouge_l"}
    assert all(isinstance(number, float) for number in score.metrics.values())
    names = outcome.items["item_id"].to_pylist()
    assert all(name.startswith("evaluation:") for name in names)
    table = registry.load_task(TASK).table("evaluation")
    texts = {text for one in table["sentences"].to_pylist() for text in one} | set(table["record"].to_pylist())
    for column in outcome.items.column_names:
        assert not texts & set(outcome.items[column].to_pylist())
    assert outcome.items["cluster_id"].to_pylist() == names


def test_the_best_epoch_may_be_chosen_by_the_loss_alone(warm: Warm) -> None:
    asked = spec("full", options={"validation": "loss"}, training={"select": "loss", "epochs": 2})
    outcome = run(asked, warm)
    assert [epoch.metrics for epoch in outcome.validation] == [{"e2e.bleu": None, "e2e.rouge_l": None}] * 2
    losses = [epoch.validation_loss for epoch in outcome.validation]
    assert all(loss is not None for loss in losses)
    assert outcome.best_epoch == 1 + losses.index(min(losses, key=lambda loss: float(loss or 0)))
    (score,) = outcome.scores
    assert score.metrics["e2e.bleu"] is not None


def test_a_choice_by_a_metric_that_is_not_computed_is_refused_when_planned() -> None:
    asked = spec("full", options={"validation": "loss"})
    with pytest.raises(MissingPrerequisite, match="set training.select to loss"):
        applicable(asked, locate("tiny:llama"))


def test_accumulation_does_not_change_what_is_learnt(warm: Warm) -> None:
    whole, parts = (
        run(spec("full", training={"accumulation": count, "lr": 1e-3}), warm).validation[0].validation_loss
        for count in (1, 4)
    )
    assert whole == pytest.approx(parts, rel=1e-4)


def test_a_record_of_a_run_is_whole(tmp_path: Path) -> None:
    record, folder = run_spec(spec("lora"), tmp_path, device="cpu")
    assert record.status == "ok"
    assert json.loads((folder / "record.json").read_text())["spec"]["options"] == {"max_new_tokens": 12}
    assert len(load_records([tmp_path]).runs) == 1


def test_a_card_of_ones_own_rows_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{number},tea {number},we have {word} teas" for number, word in enumerate(("no", "few", "more"))] * 2
    (tmp_path / "teas.csv").write_text("id,record,text\n" + "\n".join(rows))
    card = ["title: Teas", "data: {train: teas.csv, evaluation: teas.csv}", "cluster: record", "protocol: generate"]
    card += ["columns: {source: record, target: text}", "metric: corpus.bleu", "options: {num_beams: 1}"]
    (tmp_path / "teas.yaml").write_text("\n".join(card))
    monkeypatch.chdir(tmp_path)
    own = {"train": "yaml:teas.yaml", "score": ("yaml:teas.yaml",), "sizes": {}, "policy": "as_published"}
    outcome = run(spec("full", **own), Warm(DataSource(), "cpu"))
    (score,) = outcome.scores
    assert (score.num_items, score.headline) == (3, "corpus.bleu")


@pytest.mark.slow
def test_full_fine_tuning_learns_the_records_and_lora_beside_random_weights_does_not() -> None:
    torch.set_num_threads(1)
    found = {}
    for method, lr in (("full", 1e-2), ("lora", 1e-2), ("base", 1e-2)):
        values = {"options": {"max_new_tokens": 48}, "sizes": {"train": 600, "validation": 30, "test": 100}}
        outcome = run(spec(method, training={"epochs": 6, "lr": lr}, **values), Warm(DataSource(), "cpu"))
        found[method] = outcome.scores[0].metrics["e2e.bleu"] or 0.0
    assert found["full"] > 0.7
    assert found["lora"] < 0.3
    assert found["base"] < 0.05
