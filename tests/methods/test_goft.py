"""GOFT turns the inputs of a layer by its formula, and so keeps the norms and angles of its neurons."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from harness.method import Config, Plan
from harness.random import Streams
from harness.targets import Targets
from methods.goft import Goft
from tests.methods.attaching import attach, backbone


def toy(columns: int, rows: int = 2) -> tuple[nn.Sequential, Plan]:
    model = nn.Sequential(nn.Linear(columns, rows))
    return model, Plan(Targets("linear", {"0": model[0]}, {"0.weight": model[0].weight}), frozenset(), 100)


def planned(sizes: list[int], device: str = "meta") -> Plan:
    modules: dict[str, nn.Module] = {f"{index}": nn.Linear(size, 2, device=device) for index, size in enumerate(sizes)}
    return Plan(Targets("linear", modules, {}), frozenset(), 100)


def turn(angle: float) -> Tensor:
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_the_formula_by_hand_on_a_2x3_matrix() -> None:
    model, plan = toy(3)
    method = Goft()
    method.start(model, plan, Streams(0))
    angles = method.own_parameters()["0.angles"]
    assert angles.tolist() == [0.0, 0.0]  # of the pairs (0, 1) and (0, 2)
    angles.data = torch.tensor([0.1, -0.3])
    near, far = torch.eye(3), torch.eye(3)
    near[:2, :2] = turn(math.pi * math.tanh(0.1))  # P_1, stride 1
    far[[[0], [2]], [[0, 2]]] = turn(math.pi * math.tanh(-0.3))  # P_2, stride 2
    matrix = far @ near  # R = P_2 P_1
    inputs, weight, bias = torch.tensor([[1.0, 2.0, 3.0]]), model[0].weight.clone(), model[0].bias.clone()
    torch.testing.assert_close(model(inputs), inputs @ matrix @ weight.T + bias)  # row-wise, x R: P_2 first
    method.merge(model)
    torch.testing.assert_close(model[0].weight.detach(), (weight @ matrix.T).detach())
    assert torch.equal(model[0].bias, bias)


def test_the_angle_stays_within_half_a_turn() -> None:
    model, plan = toy(2)
    method = Goft()
    method.start(model, plan, Streams(0))
    inputs, bias = torch.tensor([[1.0, 2.0]]), model[0].bias
    plain = model(inputs)
    method.own_parameters()["0.angles"].data = torch.tensor([50.0])
    torch.testing.assert_close(model(inputs) - bias, bias - plain)  # by pi: the sign turns


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        (12 * (5 * [768] + [3072]), 82_872),  # DeBERTaV3-base, all linears
        (4 * 32 * [4096], 524_160),  # LLaMA2-7B, attention
        (12 * 2 * [768], 18_408),  # ViT-B/16, query and value
        ([1, 2, 7], 0 + 1 + 6),
    ],
)
def test_the_count_is_d_minus_1_per_layer(sizes: list[int], count: int) -> None:
    assert Goft().count(nn.Module(), planned(sizes)) == count


def test_norms_of_neurons_and_angles_between_them_are_kept() -> None:
    started = attach("goft", backbone("bert"))
    before = {name: module.weight.detach().clone() for name, module in started.plan.targets.modules.items()}
    started.train(20, lr=3e-2)
    started.method.merge(started.model)
    for name, module in started.plan.targets.modules.items():
        old, new = before[name], module.weight.detach()
        assert not torch.allclose(old, new, atol=1e-3)
        torch.testing.assert_close(new.norm(dim=1), old.norm(dim=1), rtol=1e-5, atol=1e-6)
        cosines = [functional.normalize(weight) @ functional.normalize(weight).T for weight in (new, old)]
        torch.testing.assert_close(*cosines, rtol=0, atol=1e-5)


def test_exactly_the_targeted_layers_are_turned() -> None:
    started = attach("goft", backbone("opt"), targets="query_value")
    patched = [key for key, module in started.model.named_modules() if "forward" in vars(module)]
    assert patched == list(started.plan.targets.modules)
    assert {key.rpartition(".")[2] for key in patched} == {"q_proj", "v_proj"}


def test_there_is_nothing_to_configure() -> None:
    assert Goft.Config is Config
    with pytest.raises(ValidationError, match="angle"):
        Goft.Config.model_validate({"angle": 1})
