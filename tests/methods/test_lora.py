"""LoRA agrees with its equation, meets budgets by rank, and leaves no trace of the library that carries it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets
from methods.lora import Lora, LoraConfig
from tests.methods.attaching import attach, backbone, planned


def toy(rows: int = 2, columns: int = 3) -> tuple[nn.Module, Plan]:
    model = nn.Sequential(nn.Linear(columns, rows))
    return model, Plan(Targets("linear", {"0": model[0]}, {"0.weight": model[0].weight}), frozenset(), 100)


def test_the_update_is_the_papers_equation_on_a_2x3_matrix() -> None:
    model, plan = toy()
    inputs, weight, bias = torch.tensor([[1.0, 2.0, 3.0]]), model[0].weight.clone(), model[0].bias.clone()
    method = Lora(LoraConfig(rank=2, alpha=6.0))
    method.start(model, plan, Streams(0))
    down, up = method.own_parameters()["0.lora_A"], method.own_parameters()["0.lora_B"]
    assert down.shape == (2, 3)  # A: rank x inputs
    assert up.shape == (2, 2)  # B: outputs x rank
    assert not up.any()
    up.data = torch.tensor([[1.0, 0.0], [0.5, -1.0]])
    dense = weight + 6.0 / 2 * up @ down
    torch.testing.assert_close(model(inputs), inputs @ dense.T + bias)
    method.merge(model)
    torch.testing.assert_close(model[0].weight.detach(), dense.detach())
    assert method.count(model, plan) == 2 * (2 + 3)


def test_the_scale_is_twice_by_default_at_every_rank() -> None:
    for rank in (1, 2):
        model, plan = toy()
        method = Lora(LoraConfig(rank=rank))
        method.start(model, plan, Streams(0))
        assert model[0].scaling == {"paretune": 2.0}


def test_a_starts_kaiming_uniform_from_the_runs_own_stream() -> None:
    first, again, other = (attach("lora", backbone("bert"), seed=seed, rank=8) for seed in (1, 1, 2))
    torch.manual_seed(5)  # what the global generator does is of no matter
    downs = [
        {key: parameter for key, parameter in each.method.own_parameters().items() if key.endswith("lora_A")}
        for each in (first, again, other)
    ]
    assert all(torch.equal(downs[0][key], downs[1][key]) for key in downs[0])
    assert not any(torch.equal(downs[0][key], downs[2][key]) for key in downs[0])
    drawn = torch.cat([parameter.flatten() for key, parameter in downs[0].items() if ".output.dense" not in key])
    bound = 1 / math.sqrt(32)  # gain sqrt(2 / (1 + 5)) * sqrt(3 / inputs)
    assert drawn.abs().max() <= bound
    assert drawn.abs().mean().item() == pytest.approx(bound / 2, rel=0.05)
    assert len({parameter.flatten()[0].item() for parameter in downs[0].values()}) == len(downs[0])


def test_attaching_leaves_the_global_random_state_alone() -> None:
    loaded = backbone("bert")
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    attach("lora", loaded)
    assert torch.equal(torch.rand(3), expected)


@settings(max_examples=40)
@given(budget=st.integers(1, 60_000))
def test_the_budget_gives_the_largest_rank_that_fits(budget: int) -> None:
    model, plan = toy(30, 50)
    plan = Plan(plan.targets, plan.head, plan.total, budget)
    if budget < 80:
        with pytest.raises(NotApplicable, match="smallest is 80"):
            Lora().solve(model, plan)
    elif budget > 30 * 80:
        with pytest.raises(NotApplicable, match="largest is 2400"):
            Lora().solve(model, plan)
    else:
        solved = Lora(LoraConfig(dropout=0.5)).solve(model, plan)
        used = Lora(solved).count(model, plan)
        assert used <= budget < used + 80
        assert solved.dropout == 0.5


@pytest.mark.parametrize("targets", ["all", "none"])
def test_targets_without_linear_layers_do_not_apply(targets: str) -> None:
    loaded = backbone("bert")
    with pytest.raises(NotApplicable, match="names none"):
        Lora().solve(loaded.model, planned(loaded, targets, budget=100))
    with pytest.raises(NotApplicable, match="names none"):
        Lora(LoraConfig(rank=2)).count(loaded.model, planned(loaded, targets))
    with pytest.raises(NotApplicable, match="names none"):
        attach("lora", loaded, targets=targets, rank=2)


def test_a_rank_over_the_smallest_side_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="rank 33 is over 32"):
        attach("lora", backbone("bert"), rank=33)
    loaded = backbone("bert")
    with pytest.raises(NotApplicable, match="rank 33 is over 32"):  # and already while it is planned
        Lora(LoraConfig(rank=33)).count(loaded.model.to("meta"), planned(loaded, "linear"))


@pytest.mark.parametrize("values", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"rnak": 4}])
def test_bad_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        LoraConfig.model_validate(values)


@pytest.mark.parametrize("targets", ["linear", "attention", "mlp", "query_value"])
def test_exactly_the_targeted_layers_get_an_adapter(targets: str) -> None:
    started = attach("lora", backbone("opt"), targets=targets, rank=2)
    adapted = [key for key, module in started.model.named_modules() if hasattr(module, "lora_A")]
    assert adapted == list(started.plan.targets.modules)
    free = sum(parameter.numel() for parameter in started.model.parameters() if parameter.requires_grad)
    head = sum(parameter.numel() for parameter in started.method.head().values())
    assert free == head + started.method.count(started.model, started.plan)


def test_a_second_run_on_the_same_backbone_gets_a_fresh_adapter_and_no_warning() -> None:
    loaded = backbone("bert")
    first = attach("lora", loaded, rank=4)
    first.train(2)
    first.detach()
    assert not hasattr(loaded.model, "peft_config")
    second = attach("lora", loaded, rank=2)
    assert all(not p.any() for key, p in second.method.own_parameters().items() if key.endswith("lora_B"))
    assert {p.shape[0] for key, p in second.method.own_parameters().items() if key.endswith("lora_A")} == {2}


def test_adapters_are_fp32_over_bf16_weights() -> None:
    started = attach("lora", backbone("llama", torch.bfloat16))
    assert {parameter.dtype for parameter in started.method.updated().values()} == {torch.float32}
    assert started.model.get_parameter("model.layers.0.self_attn.q_proj.base_layer.weight").dtype == torch.bfloat16
    losses = started.train(20, lr=1e-2)
    assert losses[-1] < losses[0]
