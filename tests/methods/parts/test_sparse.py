"""The sparse part trains exactly its support, with the gradients that dense training would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from harness.backbone import load_model, locate
from methods.parts.sparse import SAMPLED_DENSITY, SparsePart

DENSITIES = (0.2 * SAMPLED_DENSITY, 10 * SAMPLED_DENSITY)


def draw(size: int, density: float, seed: int = 0) -> Tensor:
    count = max(1, int(size * density))
    return torch.from_numpy(np.sort(np.random.default_rng(seed).choice(size, count, replace=False)))


def language_model(architecture: str) -> nn.Module:
    model, _ = load_model(locate(f"tiny:{architecture}"), AutoModelForCausalLM)
    model.eval()
    return model.requires_grad_(False)


def language_loss(model: nn.Module, ids: Tensor) -> Tensor:
    logits = model(input_ids=ids).logits
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())


def dense_gradients(model: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    model.requires_grad_(True)
    language_loss(model, ids).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    return gradients


IDS = torch.from_numpy(np.random.default_rng(3).integers(5, 261, size=(4, 24)))


def test_a_hand_calculated_gradient_on_a_2x3_matrix() -> None:
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    part = SparsePart(layer, {"weight": torch.tensor([1, 5])})  # W[0, 1] and W[1, 2]
    inputs = torch.tensor([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]], requires_grad=True)
    (layer(inputs) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    # dL/dW = dY^T X: entry (0, 1) is 1 * 10 + 3 * 20, entry (1, 2) is 2 * 100 + 4 * 200.
    assert part.values["weight"].grad is not None
    assert part.values["weight"].grad.tolist() == [70.0, 1000.0]
    assert inputs.grad is not None
    assert inputs.grad.tolist() == [[9.0, 12.0, 15.0], [19.0, 26.0, 33.0]]  # dY W


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("kind", [nn.Linear, Conv1D])
@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
def test_value_gradients_are_the_dense_ones_on_the_support(
    kind: type[nn.Module], density: float, shape: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    rows, columns = shape
    layer = nn.Linear(columns, rows) if kind is nn.Linear else Conv1D(rows, columns)
    inputs, weights = torch.randn(2, 5, columns), torch.randn(2, 5, rows)
    (layer(inputs) * weights).sum().backward()
    expected = layer.weight.grad.flatten()  # type: ignore[union-attr,operator]
    layer.requires_grad_(False)
    layer.zero_grad(set_to_none=True)
    support = draw(rows * columns, density, seed)
    part = SparsePart(layer, {"weight": support})
    (layer(inputs) * weights).sum().backward()
    torch.testing.assert_close(part.values["weight"].grad, expected[support], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("architecture", ["bert", "roberta", "opt", "gpt2", "llama"])
def test_every_tensor_of_a_model_gets_its_dense_gradient(architecture: str, density: float) -> None:
    model = language_model(architecture)
    expected = dense_gradients(model, IDS)
    named = dict(model.named_parameters())
    support = {name: draw(p.numel(), density) for name, p in named.items() if name in expected}
    assert any(p.dim() == 1 for name, p in named.items() if name in support), "biases or norms belong to it"
    part = SparsePart(model, support)
    language_loss(model, IDS).backward()
    for name, indices in support.items():
        torch.testing.assert_close(part.values[name].grad, expected[name].flatten()[indices], rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in named.values()), "no dense gradient is kept"


@pytest.mark.parametrize("architecture", ["opt", "gpt2"])
def test_a_tied_tensor_is_one_parameter_with_both_gradients(architecture: str) -> None:
    model = language_model(architecture)
    name = {"opt": "model.decoder.embed_tokens.weight", "gpt2": "transformer.wte.weight"}[architecture]
    assert model.get_parameter(name) is model.lm_head.weight  # type: ignore[union-attr]
    expected = dense_gradients(model, IDS)
    support = {name: draw(model.get_parameter(name).numel(), 0.05)}
    part = SparsePart(model, support)
    language_loss(model, IDS).backward()
    torch.testing.assert_close(part.values[name].grad, expected[name].flatten()[support[name]], rtol=1e-4, atol=1e-6)


def test_two_layers_that_share_a_weight_add_their_gradients() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model, inputs = nn.Sequential(first, nn.Tanh(), second), torch.randn(3, 4)
    model(inputs).sum().backward()
    assert first.weight.grad is not None
    expected = first.weight.grad.flatten()[:5].clone()
    model.requires_grad_(False).zero_grad()
    part = SparsePart(model, {"0.weight": torch.arange(5)})
    model(inputs).sum().backward()
    torch.testing.assert_close(part.values["0.weight"].grad, expected)


@pytest.mark.parametrize("architecture", ["opt", "gpt2"])
def test_accumulation_and_checkpointing_change_no_gradient(architecture: str) -> None:
    model = language_model(architecture)
    expected = dense_gradients(model, IDS)
    support = {name: draw(gradient.numel(), 0.05) for name, gradient in expected.items()}
    part = SparsePart(model, support)
    model.train()
    for module in model.modules():  # the dense gradient to compare with is one without dropout
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    for half in IDS.split(2):
        (language_loss(model, half) / 2).backward()
    for name, indices in support.items():
        torch.testing.assert_close(part.values[name].grad, expected[name].flatten()[indices], rtol=1e-3, atol=1e-6)


def test_bf16_weights_take_fp32_values() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 64).requires_grad_(False).to(torch.bfloat16)
    weight, inputs = layer.weight.clone(), torch.randn(8, 64)
    part = SparsePart(layer, {"weight": draw(64 * 64, 0.1)})
    values = part.values["weight"]
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(inputs)
    output.float().sum().backward()
    assert values.dtype == values.grad.dtype == torch.float32  # type: ignore[union-attr]
    expected = (torch.ones(8, 64).T @ inputs).flatten()[part.indices["weight"]]
    torch.testing.assert_close(values.grad, expected, rtol=2e-2, atol=5e-2)
    values.data.fill_(1e-9)
    part.patch()
    assert torch.equal(layer.weight, weight), "a change under the weights' precision waits in the fp32 values"
    values.data.fill_(0.25)
    part.patch()
    assert not torch.equal(layer.weight, weight)
    part.remove()
    assert torch.equal(layer.weight, weight)


def test_patch_moves_the_support_only_and_remove_restores_every_bit() -> None:
    model = language_model("gpt2")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    before["transformer.h.0.mlp.c_fc.weight"].view(-1)[7] = -0.0  # the sign of a zero is a bit, too
    model.get_parameter("transformer.h.0.mlp.c_fc.weight").data.view(-1)[7] = -0.0
    support = {name: draw(p.numel(), 0.1, seed=1).unique() for name, p in before.items()}
    support["transformer.h.0.mlp.c_fc.weight"] = torch.arange(20)
    part = SparsePart(model, support)
    for values in part.values.values():
        values.data.normal_()
    part.patch()
    for name, parameter in model.named_parameters():
        moved = torch.zeros(parameter.numel(), dtype=torch.bool)
        moved[support[name]] = True
        same = parameter.detach().view(-1).view(torch.int32) == before[name].view(-1).view(torch.int32)
        assert same[~moved].all()
        assert not same[moved].any()
    part.remove()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.detach().view(torch.int32), before[name].view(torch.int32)), name
        assert not parameter.requires_grad
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_subclass_of_linear_keeps_its_own_forward_pass() -> None:
    class Doubled(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return 2 * super().forward(inputs)

    layer, inputs = Doubled(3, 2).requires_grad_(False), torch.ones(1, 3)
    before = layer(inputs)
    part = SparsePart(layer, {"weight": torch.tensor([0])})
    assert torch.equal(layer(inputs), before)
    layer(inputs).sum().backward()
    assert part.values["weight"].grad is not None
    assert part.values["weight"].grad.tolist() == [2.0]
