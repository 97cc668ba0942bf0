"""Adapters agree with their equation, stand where the residual stream is written to, and meet budgets by rank."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModelForSequenceClassification, OPTConfig

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets, resolve
from methods.adapter import Adapter, AdapterConfig
from tests.methods.attaching import attach, backbone, planned

TEXTS = ("bert", "roberta", "deberta-v2", "opt", "gpt2", "llama", "vit")


def test_the_output_is_the_papers_equation() -> None:
    model = nn.ModuleDict({"fc2": nn.Linear(3, 4)})
    layer = model["fc2"]
    plan = Plan(Targets("linear", {"fc2": layer}, {"fc2.weight": layer.weight}), frozenset(), 100)
    method, inputs = Adapter(AdapterConfig(rank=2)), torch.randn(5, 3)
    method.start(model, plan, Streams(0))
    own = {name.removeprefix("fc2.adapter_"): p for name, p in method.own_parameters().items()}
    assert not own["up"].any()
    for parameter in own.values():
        parameter.data.normal_()
    wide = {name: parameter.detach().double() for name, parameter in own.items()}
    plain = inputs.double() @ layer.weight.detach().double().T + layer.bias.detach().double()
    narrow = (plain @ wide["down"].T + wide["down_bias"]).clamp(min=0)
    expected = plain + narrow @ wide["up"].T + wide["up_bias"]
    torch.testing.assert_close(layer(inputs).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", TEXTS)
def test_two_adapters_stand_in_every_block(architecture: str) -> None:
    started = attach("adapter", backbone(architecture), rank=3)
    places = {name.rpartition(".")[0] for name in started.method.own_parameters()}
    assert len(places) == 2 * 2  # blocks times two
    assert started.method.count(started.model, started.plan) == 4 * (2 * 3 * 32 + 3 + 32)
    assert sum(parameter.numel() for parameter in started.method.trained().values()) == 4 * (2 * 3 * 32 + 3 + 32)


@pytest.mark.parametrize("targets", ["attention", "mlp"])
@pytest.mark.parametrize("architecture", TEXTS)
def test_targets_choose_between_the_two(architecture: str, targets: str) -> None:
    started = attach("adapter", backbone(architecture), targets=targets, rank=3)
    places = {name.rpartition(".")[0] for name in started.method.own_parameters()}
    assert len(places) == 2
    assert all(("att" in place) == (targets == "attention") for place in places)


def test_the_count_of_opt_1_3b_is_the_random_masking_papers() -> None:
    config = OPTConfig(hidden_size=2048, ffn_dim=8192, num_hidden_layers=24, num_attention_heads=32)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    plan = Plan(resolve(model, "linear", frozenset({"score.weight"})), frozenset({"score.weight"}), 1)
    assert Adapter(AdapterConfig(rank=8)).count(model, plan) == 1_671_552


def test_layers_that_only_read_the_residual_stream_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="targets 'query_value' names none, take attention, mlp or linear"):
        attach("adapter", backbone("bert"), targets="query_value", rank=1)


def test_convolutions_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="names none"):
        attach("adapter", backbone("resnet"), rank=1)


def test_a_rank_above_the_smallest_side_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="rank 33 is over 32"):
        attach("adapter", backbone("bert"), rank=33)


def test_it_does_not_merge_and_says_why() -> None:
    started = attach("adapter", backbone("bert"), rank=2)
    assert started.method.extra_at_inference() == started.method.count(started.model, started.plan)
    with pytest.raises(NotApplicable, match="nonlinearity"):
        started.method.merge(started.model)


@settings(max_examples=30, deadline=None)
@given(budget=st.integers(1, 20_000))
def test_a_budget_is_met_from_below_by_the_largest_rank(budget: int) -> None:
    loaded = _loaded
    plan = planned(loaded, "linear", budget)
    sizes = [4 * (2 * rank * 32 + rank + 32) for rank in range(1, 33)]
    if budget < sizes[0] or budget > sizes[-1]:
        edge = f"smallest is {sizes[0]}" if budget < sizes[0] else f"largest is {sizes[-1]}"
        with pytest.raises(NotApplicable, match=edge):
            Adapter().solve(loaded.model, plan)
        return
    solved = Adapter(Adapter().solve(loaded.model, plan))
    assert solved.count(loaded.model, plan) == max(size for size in sizes if size <= budget)


_loaded = backbone("bert")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_detaching_restores_the_outputs_bit_by_bit(dtype: torch.dtype) -> None:
    started = attach("adapter", backbone("bert", dtype), rank=2)
    before = started.outputs()
    losses = started.train(3)
    assert losses[-1] < losses[0]
    assert not torch.equal(started.outputs(), before)
    started.detach()
    assert not started.backbone.changed()
    assert all("forward" not in vars(module) for module in started.model.modules())
