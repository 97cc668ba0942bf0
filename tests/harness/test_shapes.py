"""Backbones whose shapes are written out: they count what the papers count, and stand in for weights in plans alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import shapes
from harness.backbone import MODELS, BackboneFiles
from harness.errors import MissingPrerequisite
from harness.matrix import expand
from harness.spec import Budget, Spec
from harness.suite import read, shipped
from runners.counts import trained
from tests.harness.commands import no_mirror

__all__ = ["no_mirror"]

OPT, BERT, LARGE = (
    "facebook/opt-1.3b",
    "google-bert/bert-base-uncased",
    "google-bert/bert-large-cased-whole-word-masking",
)
DEBERTA, LLAMA, VIT = "microsoft/deberta-v3-base", "meta-llama/Llama-2-7b-hf", "google/vit-base-patch16-224-in21k"
ROBERTA, GPT2 = "FacebookAI/roberta-base", "openai-community/gpt2-medium"
PROTOCOLS = {"glue/rte": "classify", "random_masking/rte": "prompt", "nlg/e2e": "generate", "vtab/svhn": "image"}
PROTOCOLS["instruct/alpaca"] = "prompt"

COUNTS: list[tuple[str, str, str, str, Mapping[str, Any], int]] = [
    # Random masking: N as its code has it, its LoRA, prefix, adapter and BitFit.
    ("facebook/opt-125m", "full", "all", "random_masking/rte", {}, 125_239_296),
    (OPT, "full", "all", "random_masking/rte", {}, 1_315_758_080),
    ("facebook/opt-13b", "full", "all", "random_masking/rte", {}, 12_853_473_280),
    (OPT, "lora", "query_value", "random_masking/rte", {"rank": 8}, 1_572_864),
    (OPT, "adapter", "linear", "random_masking/rte", {"rank": 8}, 1_671_552),
    (OPT, "bitfit", "all", "random_masking/rte", {"vectors": True, "norms": False}, 442_368),
    (OPT, "bitfit", "all", "random_masking/rte", {"vectors": True}, 542_720),
    (OPT, "peft/prefix_tuning", "query_value", "random_masking/rte", {"num_virtual_tokens": 5}, 491_520),
    # PST on either encoder, and on GPT-2 as one fused matrix.
    (BERT, "pst", "linear", "glue/rte", {}, 2_820_096),
    (ROBERTA, "pst", "linear", "glue/rte", {}, 2_820_096),
    (GPT2, "pst", "linear", "nlg/e2e", {}, 6_684_672),
    # FISH: 0.5 % of N with its head of 2,050, and the head among them.
    (LARGE, "full", "all", "glue/rte", {}, 333_579_264),
    (LARGE, "fish", "all", "glue/rte", {"ratio": 0.005, "charge_head": True}, 1_667_906 - 2_050),
    # GOFT on its three backbones, and the baselines that its tables round to 184, 0.1, 0.31, 0.33, 85.8 and 0.295 M.
    (DEBERTA, "goft", "linear", "glue/rte", {}, 82_872),
    (DEBERTA, "qgoft", "linear", "glue/rte", {}, 331_488),
    (DEBERTA, "full", "all", "glue/rte", {}, 183_831_552),
    (DEBERTA, "bitfit", "all", "glue/rte", {}, 102_912),
    (DEBERTA, "adapter", "linear", "glue/rte", {"rank": 8}, 313_536),
    (DEBERTA, "lora", "linear", "glue/rte", {"rank": 2}, 331_776),
    (LLAMA, "goft", "attention", "instruct/alpaca", {}, 524_160),
    (LLAMA, "qgoft", "attention", "instruct/alpaca", {}, 2_096_640),
    (LLAMA, "full", "all", "instruct/alpaca", {}, 6_738_415_616),
    (VIT, "goft", "query_value", "vtab/svhn", {}, 18_408),
    (VIT, "qgoft", "query_value", "vtab/svhn", {}, 73_632),
    (VIT, "lora", "query_value", "vtab/svhn", {"rank": 8}, 294_912),
    (VIT, "full", "all", "vtab/svhn", {}, 85_798_656),
    # LoRA's paper: 125 and 354.9 M, 0.3 M on query and value.
    (ROBERTA, "full", "all", "glue/rte", {}, 124_055_040),
    (ROBERTA, "lora", "query_value", "glue/rte", {"rank": 8}, 294_912),
    (GPT2, "full", "all", "nlg/e2e", {}, 354_823_168),
]


def asked(backbone: str, method: str, task: str, targets: str = "linear", **more: Any) -> Spec:
    return Spec(
        backbone=backbone, method=method, targets=targets, train=task, score=(task,), protocol=PROTOCOLS[task], **more
    )


def outlined(reference: str) -> BackboneFiles:
    found = shapes.outline(reference)
    assert found is not None
    return found


@pytest.mark.parametrize(("backbone", "method", "targets", "task", "values", "count"), COUNTS)
def test_counts_are_those_of_the_papers(
    backbone: str, method: str, targets: str, task: str, values: Mapping[str, Any], count: int
) -> None:
    assert trained(asked(backbone, method, task, targets, values=dict(values)), outlined(backbone)) == count


def test_every_shape_is_counted_here_and_named_by_a_suite() -> None:
    backbones = {spec.backbone for name in shipped() for spec in expand(read(name)).specs}
    assert shapes.known().keys() == {row[0] for row in COUNTS}
    assert shapes.known().keys() <= {shapes.hub_name(backbone) for backbone in backbones}
    assert len(shapes.known()) == 10


def test_every_hub_backbone_of_a_shipped_suite_has_a_shape() -> None:
    backbones = {spec.backbone for name in shipped() for spec in expand(read(name)).specs}
    assert {name for one in backbones if (name := shapes.hub_name(one))} == shapes.known().keys()


def test_a_budget_is_a_share_of_the_shape() -> None:
    budget = Budget(fraction=0.0005)
    spec = asked(OPT, "random_mask", "random_masking/rte", "query_value", budget=budget)
    assert trained(spec, outlined(f"hub:{OPT}@main")) == 657_879


@pytest.mark.parametrize(
    "reference", ["hub:nobody/knows", "package:facebook/opt-125m", "tiny:bert", "path:facebook/opt-125m"]
)
def test_nothing_else_has_an_outline(reference: str) -> None:
    assert shapes.outline(reference) is None


def test_weights_that_are_here_need_no_outline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert shapes.outline(f"hub:{BERT}@abc") is not None
    (tmp_path / MODELS / f"{BERT}@abc").mkdir(parents=True)
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path))
    assert shapes.outline(f"hub:{BERT}@abc") is None
    assert shapes.outline(f"hub:{BERT}") is not None


def test_a_hub_that_cannot_be_asked_is_said_with_the_fix() -> None:
    with pytest.raises(MissingPrerequisite, match=f"the weights of hub:{BERT} are not here: .* hub gave .*mirror"):
        shapes.check_hub(f"hub:{BERT}")
