"""Magnitude pruning trains the weights that it keeps and drops the smallest, in linear layers and convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets
from methods.magnitude_prune import MagnitudePrune
from methods.parts.pruning import PruningConfig
from tests.methods.attaching import attach, backbone, planned


def test_the_smallest_magnitudes_of_a_2x3_matrix_go_and_get_no_gradient() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, -2.0, 0.5], [0.1, 3.0, -0.4]])
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    method = MagnitudePrune(PruningConfig(sparsity=0.5))
    method.start(nn.Sequential(layer), Plan(targets, frozenset(), 8, total_steps=1), Streams(0))
    assert method.count(nn.Sequential(layer), Plan(targets, frozenset(), 8)) == 6
    method.after_step(1)
    inputs = torch.randn(5, 3, dtype=torch.float64)
    weight = layer.weight.detach().double().requires_grad_()
    mask = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    expected = functional.linear(inputs, weight * mask, layer.bias.detach().double())
    ours = layer(inputs.float())
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)
    expected.sin().sum().backward()
    ours.sin().sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=1e-5, atol=1e-5)
    method.merge(nn.Sequential(layer))
    assert torch.equal(layer.weight != 0, mask.bool())


def test_a_dropped_weight_keeps_its_value_and_can_come_back() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0]])
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    method = MagnitudePrune(PruningConfig(sparsity=0.5))
    method.start(nn.Sequential(layer), Plan(targets, frozenset(), 2, total_steps=2), Streams(0))
    method.after_step(2)
    assert layer(torch.eye(2)).flatten().tolist() == [0.0, 2.0]
    layer.weight.data[0, 1] = 0.5
    method.after_step(3)
    assert layer(torch.eye(2)).flatten().tolist() == [1.0, 0.0]


def test_convolutions_are_pruned_too_and_merge_with_equal_outputs() -> None:
    started = attach("magnitude_prune", backbone("resnet"), sparsity=0.8)
    losses = started.train(10, lr=1e-3)
    assert losses[-1] < losses[0]
    sizes = [tensor.numel() for tensor in started.plan.targets.tensors.values()]
    assert started.method.zeros() == (sum(int(size * 0.8) for size in sizes), sum(sizes))
    outputs = started.outputs()
    started.method.merge(started.model)
    assert torch.equal(started.outputs(), outputs)
    started.detach()
    assert started.backbone.changed() == []


def test_all_weights_are_trained_and_there_is_no_budget_to_choose() -> None:
    loaded = backbone("gpt2")
    plan = planned(loaded, "linear", budget=5000)
    assert MagnitudePrune().count(loaded.model, plan) == 24_576
    with pytest.raises(NotApplicable, match="one size"):
        MagnitudePrune().solve(loaded.model, plan)
    started = attach("magnitude_prune", loaded, sparsity=0.5)
    assert started.method.trained().keys() == plan.targets.tensors.keys()
    assert started.method.stored_bits() == 32 * 24_576 + 64
