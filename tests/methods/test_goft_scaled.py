"""GOFT* is GOFT with a scale, which comes last as the inputs go and changes norms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.random import Streams
from methods.goft import Goft
from methods.goft_scaled import GoftScaled
from tests.methods.attaching import attach, backbone
from tests.methods.test_goft import planned, toy, turn


def test_the_formula_by_hand_on_a_2x3_matrix() -> None:
    model, plan = toy(3)
    method = GoftScaled()
    method.start(model, plan, Streams(0))
    own = method.own_parameters()
    assert own["0.angles"].tolist() == [0.0, 0.0]
    assert own["0.scale"].tolist() == [1.0, 1.0, 1.0]
    own["0.angles"].data, own["0.scale"].data = torch.tensor([0.1, -0.3]), torch.tensor([2.0, 0.5, -1.0])
    near, far = torch.eye(3), torch.eye(3)
    near[:2, :2] = turn(math.pi * math.tanh(0.1))  # P_1, stride 1
    far[[[0], [2]], [[0, 2]]] = turn(math.pi * math.tanh(-0.3))  # P_2, stride 2
    matrix = far @ near @ torch.diag(own["0.scale"].detach())  # R = P_2 P_1 diag(g)
    inputs, weight, bias = torch.tensor([[1.0, 2.0, 3.0]]), model[0].weight.clone(), model[0].bias.clone()
    torch.testing.assert_close(model(inputs), inputs @ matrix @ weight.T + bias)
    method.merge(model)
    torch.testing.assert_close(model[0].weight.detach(), (weight @ matrix.T).detach())


@pytest.mark.parametrize(("sizes", "count"), [(12 * (5 * [768] + [3072]), 2 * 82_872 + 72), ([1, 2, 7], 1 + 3 + 13)])
def test_the_count_is_2d_minus_1_per_layer(sizes: list[int], count: int) -> None:
    assert GoftScaled().count(nn.Module(), planned(sizes)) == count


def test_with_a_scale_of_ones_it_is_goft() -> None:
    outputs = []
    for kind in (Goft, GoftScaled):
        torch.manual_seed(0)
        model, plan = toy(40)
        method = kind()
        method.start(model, plan, Streams(0))
        method.own_parameters()["0.angles"].data = torch.linspace(-1, 1, 39)
        outputs.append(model(torch.ones(1, 40)))
    assert torch.equal(*outputs)


def test_training_adjusts_the_norms_of_neurons() -> None:
    started = attach("goft_scaled", backbone("bert"))
    before = {name: module.weight.norm(dim=1) for name, module in started.plan.targets.modules.items()}
    started.train(20, lr=3e-2)
    started.method.merge(started.model)
    for name, module in started.plan.targets.modules.items():
        assert not torch.allclose(module.weight.norm(dim=1), before[name], rtol=1e-3)
