"""Movement pruning agrees with its straight-through equations and drops the scores that fell most."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets
from methods.movement_prune import MovementPrune
from methods.parts.pruning import PruningConfig
from tests.methods.attaching import attach, backbone, planned


def toy(layer: nn.Linear, total_steps: int = 1, sparsity: float = 0.5) -> tuple[MovementPrune, Tensor]:
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    method = MovementPrune(PruningConfig(sparsity=sparsity))
    method.start(nn.Sequential(layer), Plan(targets, frozenset(), 8, total_steps=total_steps), Streams(0))
    return method, method.own_parameters()["0.weight@scores"]


def test_weights_get_masked_and_scores_get_straight_through_gradients() -> None:
    layer = nn.Linear(3, 2)
    method, scores = toy(layer)
    assert not scores.any()
    scores.data = torch.tensor([[3.0, -1.0, 2.0], [-5.0, 0.0, 4.0]])
    method.after_step(1)
    mask = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(5, 3, dtype=torch.float64)
    weight = layer.weight.detach().double().requires_grad_()
    expected = functional.linear(inputs, mask * weight, layer.bias.detach().double())
    ours = layer(inputs.float())
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)
    expected.sin().sum().backward()
    ours.sin().sum().backward()
    assert layer.weight.grad is not None
    assert scores.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores.grad.double(), mask.grad, rtol=1e-5, atol=1e-5)  # dL/dS := dL/dM = G o W


def test_weights_that_move_towards_zero_are_dropped() -> None:
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    method, scores = toy(layer, total_steps=2)
    optimizer = torch.optim.SGD(method.parameter_groups(), lr=0.1)
    layer(torch.tensor([[1.0, 1.0, -1.0, -1.0]])).sum().backward()  # the first and the last are pulled towards zero
    optimizer.step()
    method.after_step(2)
    assert scores.flatten().argsort()[:2].sort().values.tolist() == [0, 3]
    kept = layer(torch.eye(4)).flatten()
    torch.testing.assert_close(kept, torch.tensor([0.0, -1.1, 1.1, 0.0]))


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_a_learning_rate_of_their_own_for_the_scores_changes_nothing(factor: float) -> None:
    outputs = []
    for rate in (1e-3, factor * 1e-3):
        started = attach("movement_prune", backbone("bert"), sparsity=0.5)
        scores = [p for name, p in started.method.updated().items() if name.endswith("@scores")]
        others = [p for name, p in started.method.updated().items() if not name.endswith("@scores")]
        optimizer = torch.optim.AdamW([{"params": scores, "lr": rate}, {"params": others}], lr=1e-3, weight_decay=0.0)
        for _ in range(8):
            started.step(optimizer)
        outputs.append(started.outputs())
    assert torch.equal(*outputs)


def test_weights_and_scores_are_counted_and_there_is_no_budget_to_choose() -> None:
    loaded = backbone("opt")
    plan = planned(loaded, "linear", budget=5000)
    assert MovementPrune().count(loaded.model, plan) == 2 * 16_384
    with pytest.raises(NotApplicable, match="one size"):
        MovementPrune().solve(loaded.model, plan)
    assert attach("movement_prune", loaded, sparsity=0.5).method.stored_bits() == 32 * 2 * 16_384 + 64


def test_convolutions_are_pruned_too() -> None:
    started = attach("movement_prune", backbone("resnet"), sparsity=0.8)
    losses = started.train(10, lr=1e-3)
    assert losses[-1] < losses[0]
    sizes = [tensor.numel() for tensor in started.plan.targets.tensors.values()]
    assert started.method.zeros() == (sum(int(size * 0.8) for size in sizes), sum(sizes))
