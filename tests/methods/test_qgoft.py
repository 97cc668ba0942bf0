"""qGOFT maps pairs by free blocks, is GOFT where they are rotations, and pays for columns that are not orthogonal."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness.random import Streams
from methods.goft import Goft
from methods.qgoft import Qgoft, QgoftConfig
from tests.methods.attaching import attach, backbone
from tests.methods.test_goft import planned, toy, turn


def started_toy(columns: int, **values: float) -> tuple[nn.Sequential, Qgoft]:
    torch.manual_seed(0)
    model, plan = toy(columns)
    method = Qgoft(QgoftConfig.model_validate(values))
    method.start(model, plan, Streams(0))
    return model, method


def test_the_formula_by_hand_on_a_2x3_matrix() -> None:
    model, method = started_toy(3)
    blocks = method.own_parameters()["0.blocks"]
    assert blocks.tolist() == [[[1.0, 0.0], [0.0, 1.0]]] * 2  # of the pairs (0, 1) and (0, 2)
    blocks.data = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 5.0]]])  # the second is singular
    near = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])  # P_1, stride 1
    far = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 5.0]])  # P_2, stride 2
    matrix = far @ near  # R = P_2 P_1
    inputs, weight, bias = torch.tensor([[1.0, 2.0, 3.0]]), model[0].weight.clone(), model[0].bias.clone()
    torch.testing.assert_close(model(inputs), inputs @ matrix @ weight.T + bias)
    method.merge(model)
    torch.testing.assert_close(model[0].weight.detach(), (weight @ matrix.T).detach())


@pytest.mark.parametrize(
    ("sizes", "count"),
    [(12 * (5 * [768] + [3072]), 331_488), (4 * 32 * [4096], 2_096_640), ([1, 2, 7], 0 + 4 + 24)],
)
def test_the_count_is_4_times_d_minus_1_per_layer(sizes: list[int], count: int) -> None:
    assert Qgoft().count(nn.Module(), planned(sizes)) == count


def test_with_rotations_for_blocks_it_is_goft() -> None:
    model, method = started_toy(40)
    angles = torch.linspace(-1, 1, 39)
    blocks = torch.stack([turn(math.pi * math.tanh(angle)) for angle in angles.tolist()])
    method.own_parameters()["0.blocks"].data = blocks
    torch.manual_seed(0)
    other, plan = toy(40)
    goft = Goft()
    goft.start(other, plan, Streams(0))
    goft.own_parameters()["0.angles"].data = angles
    inputs = torch.linspace(-2, 3, 40)[None]
    torch.testing.assert_close(model(inputs), other(inputs))
    assert method.extra_loss().item() == pytest.approx(0.0, abs=1e-12)


def test_the_penalty_is_zero_at_the_start_and_positive_for_a_shear() -> None:
    _, method = started_toy(3, penalty=0.5)
    assert method.extra_loss().item() == 0.0
    blocks = method.own_parameters()["0.blocks"]
    blocks.data[0] = torch.tensor([[3.0, 0.0], [0.0, 0.5]])  # norms are free
    assert method.extra_loss().item() == 0.0
    blocks.data[1] = torch.tensor([[1.0, 2.0], [0.0, 1.0]])  # <(1, 0), (2, 1)> = 2
    assert method.extra_loss().item() == 0.5 * 2**2


def test_the_penalty_sums_over_layers_and_its_gradient_is_that_of_the_formula() -> None:
    started = attach("qgoft", backbone("bert"), penalty=0.05)
    generator = torch.Generator().manual_seed(0)
    blocks = list(started.method.own_parameters().values())
    for block in blocks:
        block.data = torch.randn(block.shape, generator=generator)
    penalty = started.method.extra_loss()
    assert isinstance(penalty, Tensor)
    columns = [(block[:, 0, 0] * block[:, 0, 1] + block[:, 1, 0] * block[:, 1, 1]) for block in blocks]
    torch.testing.assert_close(penalty, 0.05 * sum((inner**2).sum() for inner in columns))
    penalty.backward()
    for block, inner in zip(blocks, columns, strict=True):
        # d/da1 of (a1 b1 + a2 b2)^2 is 2 (a1 b1 + a2 b2) b1, and so on.
        torch.testing.assert_close(block.grad, 0.05 * 2 * inner[:, None, None].detach() * block.detach().flip(2))


def test_a_larger_penalty_keeps_blocks_nearer_to_orthogonal() -> None:
    strays = []
    for penalty in (0.0, 10.0):
        started = attach("qgoft", backbone("bert"), penalty=penalty)
        started.train(20, lr=1e-2)
        blocks = torch.cat(list(started.method.own_parameters().values()))
        strays.append((blocks[:, :, 0] * blocks[:, :, 1]).sum(dim=1).square().sum().item())
    assert strays[1] < 0.5 * strays[0]


@pytest.mark.parametrize("values", [{"penalty": -0.1}, {"orthogonality": 1}])
def test_bad_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        QgoftConfig.model_validate(values)
