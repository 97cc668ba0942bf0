"""PST agrees with its equations, straight-through gradients included, meets budgets by rank, makes a sparse model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets, resolve
from methods.pst import Pst, PstConfig
from tests.methods.attaching import attach, backbone, planned

Parts = dict[str, Tensor]


def toy(outputs: int, inputs: int, config: PstConfig, transposed: bool = False) -> tuple[nn.Module, Pst, Parts]:
    """Return a layer, PST on it after its only step, and the trained parts by their letter."""
    generator = torch.Generator().manual_seed(1)
    layer = Conv1D(outputs, inputs) if transposed else nn.Linear(inputs, outputs)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    method = Pst(config)
    method.start(nn.Sequential(layer), Plan(targets, frozenset(), 100, total_steps=1), Streams(0))
    parts: Parts = {name.partition("@")[2]: parameter for name, parameter in method.own_parameters().items()}
    for parameter in parts.values():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    method.after_step(1)
    return layer, method, parts


class Dropped(torch.autograd.Function):
    """The published mask: a full sort forwards, straight through backwards."""

    @staticmethod
    def forward(ctx: object, scores: Tensor, sparsity: float) -> Tensor:
        mask = torch.ones_like(scores).flatten()
        mask[scores.flatten().argsort(stable=True)[: int(scores.numel() * sparsity)]] = 0
        return mask.view_as(scores)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def dense(weight: Tensor, parts: Parts, config: PstConfig) -> Tensor:
    """Return M o W' (m x n) by the published equations."""
    changed = weight + config.beta * parts["U"] @ parts["V"]
    scores = changed.abs() + config.alpha1 * parts["A"] @ parts["B"]
    scores = scores + config.alpha2 * (parts["R"].unsqueeze(1) + parts["C"].unsqueeze(0))
    masked: Tensor = Dropped.apply(scores, config.sparsity) * changed  # type: ignore[no-untyped-call]
    return masked


def test_the_update_is_the_papers_equation_on_a_2x3_matrix() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, -2.0, 0.5], [0.1, 3.0, -0.4]])
    layer.bias.data.zero_()
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    method = Pst(PstConfig(weight_rank=1, score_rank=1, beta=2.0, alpha1=0.5, alpha2=3.0, sparsity=0.5))
    method.start(nn.Sequential(layer), Plan(targets, frozenset(), 100, total_steps=1), Streams(0))
    parts = {name.partition("@")[2]: parameter for name, parameter in method.own_parameters().items()}
    assert {role: tuple(parameter.shape) for role, parameter in parts.items()} == {
        "U": (2, 1),
        "V": (1, 3),
        "A": (2, 1),
        "B": (1, 3),
        "R": (2,),
        "C": (3,),
    }
    assert {role for role, parameter in parts.items() if parameter.any()} == {"U", "A"}
    torch.testing.assert_close(layer(torch.eye(3)).T, layer.weight, rtol=0, atol=0)
    for role, values in {
        "U": [[1.0], [0.0]],
        "V": [[0.0, 0.0, 1.0]],  # W' = [[1, -2, 2.5], [0.1, 3, -0.4]]
        "A": [[0.0], [2.0]],
        "B": [[3.0, 0.0, 0.0]],  # 0.5 A B = [[0, 0, 0], [3, 0, 0]]
        "R": [0.0, -0.5],
        "C": [0.0, 0.0, 0.5],  # 3 (R + C) = [[0, 0, 1.5], [-1.5, -1.5, 0]]
    }.items():
        parts[role].data = torch.tensor(values)
    method.after_step(1)  # S = [[1, 2, 4], [1.6, 1.5, 0.4]]: the three smallest are 0.4, 1 and 1.5
    expected = torch.tensor([[0.0, -2.0, 2.5], [0.1, 0.0, 0.0]])
    torch.testing.assert_close(layer(torch.eye(3)).T, expected)
    assert method.zeros() == (3, 6)
    method.merge(nn.Sequential(layer))
    torch.testing.assert_close(layer.weight.detach(), expected)
    assert method.stored_bits() == 32 * 3 * 5 + 64


@pytest.mark.parametrize("transposed", [False, True], ids=["linear", "conv1d"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_all_gradients_are_those_of_the_dense_equations_in_float64(sparsity: float, transposed: bool) -> None:
    config = PstConfig(weight_rank=3, score_rank=2, beta=0.7, alpha1=1.3, alpha2=0.6, sparsity=sparsity)
    layer, method, parts = toy(11, 7, config, transposed)
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()  # type: ignore[operator,union-attr]
    doubles = {role: parameter.detach().double().requires_grad_() for role, parameter in parts.items()}
    inputs = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    output = inputs @ dense(weight.T if transposed else weight, doubles, config).T + bias
    output.sin().sum().backward()
    given = inputs.detach().float().requires_grad_()
    ours = layer(given)
    ours.sin().sum().backward()
    torch.testing.assert_close(ours.double(), output, rtol=1e-5, atol=1e-5)
    assert given.grad is not None
    torch.testing.assert_close(given.grad.double(), inputs.grad, rtol=1e-4, atol=1e-5)
    for role, parameter in parts.items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.double(), doubles[role].grad, rtol=1e-4, atol=1e-5)
        assert parameter.grad.any()
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_row_and_column_importance_get_the_sums_of_the_movement_signal() -> None:
    layer, _, parts = toy(4, 6, PstConfig(weight_rank=1, score_rank=1, sparsity=0.5))
    inputs = torch.randn(9, 6)
    layer(inputs).sum().backward()
    weight = layer.weight.detach() + parts["U"].detach() @ parts["V"].detach()  # type: ignore[operator]
    pulled = inputs.sum(0).expand(4, 6) * weight  # G o W'
    torch.testing.assert_close(parts["R"].grad, pulled.sum(1))
    torch.testing.assert_close(parts["C"].grad, pulled.sum(0))


def test_without_learned_importance_it_prunes_by_magnitude() -> None:
    layer, _, parts = toy(10, 8, PstConfig(weight_rank=2, score_rank=2, alpha1=0, alpha2=0, sparsity=0.6))
    changed = layer.weight.detach() + parts["U"].detach() @ parts["V"].detach()  # type: ignore[operator]
    smallest = changed.abs().flatten().argsort(stable=True)[:48]
    expected = changed.flatten().index_fill(0, smallest, 0.0).view(10, 8)
    torch.testing.assert_close(layer(torch.eye(8)).T - layer.bias[:, None], expected)  # type: ignore[index]


def test_without_the_update_the_kept_weights_are_the_backbones_own_bits() -> None:
    started = attach("pst", backbone("bert"), beta=0, sparsity=0.5)
    before = started.tensors()
    started.train(10, lr=1e-2)
    started.method.merge(started.model)
    kept = 0
    for name in started.plan.targets.tensors:
        now = started.model.get_parameter(name).detach()
        kept += int((now != 0).sum())
        assert torch.equal(now[now != 0], before[name][now != 0])
    assert kept == 16_384 // 2


def test_the_encoder_of_bert_base_has_the_papers_count() -> None:
    with torch.device("meta"):
        model = BertModel(BertConfig())
    targets = resolve(model, "linear", frozenset())
    assert Pst().count(model, Plan(targets, frozenset(), 1)) == 2_820_096


def test_both_random_factors_are_standard_normal_from_the_runs_own_stream() -> None:
    first, again, other = (attach("pst", backbone("bert"), seed=seed, sparsity=0.5).method for seed in (1, 1, 2))
    names = [name for name in first.own_parameters() if name.endswith(("@U", "@A"))]
    drawn = [torch.cat([each.own_parameters()[name].flatten() for name in names]) for each in (first, again, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].unique().numel() == pytest.approx(drawn[0].numel(), abs=20), "no two of them share a stream"
    assert drawn[0].mean().item() == pytest.approx(0, abs=0.05)
    assert drawn[0].std().item() == pytest.approx(1, abs=0.05)


@settings(max_examples=60)
@given(budget=st.integers(1, 8_000))
def test_the_budget_gives_the_largest_even_ranks_that_fit(budget: int) -> None:
    layer = nn.Linear(50, 30, device="meta")
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    model, plan = nn.Sequential(layer), Plan(targets, frozenset(), 100, budget)
    if budget < 160:
        with pytest.raises(NotApplicable, match="smallest is 160 "):
            Pst().solve(model, plan)
    elif budget > 61 * 80:
        with pytest.raises(NotApplicable, match="largest is 4880 "):
            Pst().solve(model, plan)
    else:
        solved = Pst(PstConfig(sparsity=0.4)).solve(model, plan)
        assert solved.score_rank <= solved.weight_rank <= solved.score_rank + 1
        assert Pst(solved).count(model, plan) <= budget < Pst(solved).count(model, plan) + 80
        assert solved.sparsity == 0.4


@pytest.mark.parametrize("transposed", [False, True], ids=["linear", "conv1d"])
def test_without_low_rank_importance_rows_and_columns_score_alone(transposed: bool) -> None:
    config = PstConfig(weight_rank=2, score_rank=0, sparsity=0.4)
    layer, method, parts = toy(6, 9, config, transposed)
    assert parts.keys() == {"U", "V", "R", "C"}
    given = {**parts, "A": torch.zeros(6, 1), "B": torch.zeros(1, 9)}
    weight = layer.weight.detach()  # type: ignore[operator]  # a module's attributes are typed as tensor or module
    expected = dense(weight.T if transposed else weight, given, config)
    ours = layer(torch.eye(9)).T - layer.bias[:, None]  # type: ignore[index]
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad(expected.sin().sum(), list(parts.values()))
    for gradient, found in zip(gradients, torch.autograd.grad(ours.sin().sum(), list(parts.values())), strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5)
    assert method.stored_bits() == 32 * 3 * 15 + 64


def test_a_rank_over_the_smallest_side_does_not_apply() -> None:
    loaded = backbone("llama")  # its keys and values are 16 wide
    for values in ({"weight_rank": 17}, {"score_rank": 17}):
        with pytest.raises(NotApplicable, match="rank 17 is over 16"):
            Pst(PstConfig.model_validate(values)).count(loaded.model, planned(loaded, "linear"))
    assert attach("pst", loaded, weight_rank=16, score_rank=1).method.config == PstConfig(weight_rank=16, score_rank=1)


def test_convolutions_do_not_apply() -> None:
    loaded = backbone("resnet")
    with pytest.raises(NotApplicable, match="weights of Linear, Conv1D; .* of a Conv2d"):
        Pst().solve(loaded.model, planned(loaded, "linear", budget=5000))


@pytest.mark.parametrize("values", [{"weight_rank": 0}, {"score_rank": -1}, {"beta": -1.0}, {"rank": 4}])
def test_bad_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        PstConfig.model_validate(values)
