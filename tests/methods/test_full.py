"""Full fine-tuning trains every scalar of the backbone once."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.backbone import load_model, locate
from harness.method import Plan
from harness.random import Streams
from harness.targets import resolve
from methods.full import Full
from tests.methods.attaching import attach, backbone


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        # embeddings (261 + 160 positions + 2 types) and their norm; per block 4 E^2 + 2 E F + 4 E + F + E + 4 E; pooler
        ("bert", (261 + 160 + 2) * 32 + 64 + 2 * (4 * 1024 + 2 * 2048 + 4 * 32 + 64 + 32 + 128) + 1024 + 32),
        # no positions, no biases; keys and values have half as many heads; three MLP matrices; one scale per norm
        ("llama", 261 * 32 + 2 * (2 * 1024 + 2 * 512 + 3 * 2048 + 2 * 32) + 32),
    ],
)
def test_the_count_is_the_architectures_by_hand(architecture: str, expected: int) -> None:
    started = attach("full", backbone(architecture))
    assert started.method.count(started.model, started.plan) == expected == started.backbone.num_parameters
    assert sum(parameter.numel() for parameter in started.method.trained().values()) == expected


def test_a_tied_tensor_is_trained_and_counted_once() -> None:
    model, _ = load_model(locate("tiny:gpt2"), AutoModelForCausalLM)
    plan = Plan(resolve(model, "all", frozenset()), frozenset(), sum(p.numel() for p in model.parameters()))
    method = Full()
    pristine = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    method.start(model, plan, Streams(0))
    assert "lm_head.weight" not in method.trained()
    assert sum(parameter.numel() for parameter in method.trained().values()) == plan.total
    method.trained()["transformer.wte.weight"].data.add_(1.0)
    method.detach(model, pristine)
    assert torch.equal(model.lm_head.weight, pristine["transformer.wte.weight"])
    assert model.lm_head.weight is model.transformer.wte.weight


def test_weights_are_trained_in_fp32_over_a_bf16_backbone_and_come_back_as_bf16() -> None:
    loaded = backbone("opt", torch.bfloat16)
    types = {name: parameter.dtype for name, parameter in loaded.model.named_parameters()}
    started = attach("full", loaded)
    assert {parameter.dtype for parameter in started.method.updated().values()} == {torch.float32}
    losses = started.train(20, lr=1e-3)
    assert losses[-1] < losses[0]
    started.detach()
    assert {n: p.dtype for n, p in loaded.model.named_parameters() if n not in loaded.head} == {
        name: dtype for name, dtype in types.items() if name not in loaded.head
    }


def test_it_is_what_a_plain_loop_over_all_parameters_gives() -> None:
    started, plain = attach("full", backbone("bert")), attach("base", backbone("bert"))
    started.train(3)
    plain.method._dense = dict(plain.model.named_parameters())  # every tensor, by hand
    plain.model.requires_grad_(True)
    plain.train(3)
    for name, parameter in plain.model.named_parameters():
        # The optimiser sums over tensors of another order; the arithmetic per tensor is the same.
        assert torch.equal(parameter, started.model.get_parameter(name)), name
