"""The sparse part trains exactly its support, with the gradients that dense training would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

from harness.backbone import load_model, locate
from methods.parts.sparse import SparsePart
from runners import specimen

DENSITIES = (0.006, 0.05, 0.3, 1.0)
"""One for each form in which a product is computed."""


def draw(size: int, density: float, seed: int = 0) -> Tensor:
    count = max(1, int(size * density)) if density else 0
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


@pytest.mark.parametrize("density", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("architecture", ["vit", "resnet"])
def test_every_tensor_of_a_model_that_sees_gets_its_dense_gradient(architecture: str, density: float) -> None:
    loaded = specimen.load(f"tiny:{architecture}")
    model = loaded.model.requires_grad_(False)
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def gradients() -> dict[str, Tensor]:
        functional.cross_entropy(model(pixel_values=pixels).logits, torch.tensor([0, 1, 1])).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    model.requires_grad_(True)
    expected = gradients()
    assert any(gradient.dim() == 4 for gradient in expected.values()), "convolutions belong to it"
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    part = SparsePart(model, {name: draw(gradient.numel(), density) for name, gradient in expected.items()})
    assert gradients() == {}, "no dense gradient is kept"
    for name, values in part.values.items():
        reference = expected[name].flatten()[part.indices[name]]
        torch.testing.assert_close(values.grad, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["embedding", "norm", "bias"])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_other_tensors_get_the_gradient_of_the_formula_in_float64(kind: str, density: float) -> None:
    torch.manual_seed(0)
    embedding, norm = nn.Embedding(9, 6).requires_grad_(False), nn.LayerNorm(6).requires_grad_(False)
    model, tokens, slopes = nn.Sequential(embedding, norm), torch.tensor([[1, 4, 4], [0, 8, 1]]), torch.randn(2, 3, 6)
    name = {"embedding": "0.weight", "norm": "1.weight", "bias": "1.bias"}[kind]
    support = draw(model.get_parameter(name).numel(), density)
    part = SparsePart(model, {name: support})
    (model(tokens) * slopes).sum().backward()
    wide, outer = embedding.weight.detach().double().requires_grad_(), slopes.double()
    rows = wide[tokens]
    normal = (rows - rows.mean(-1, keepdim=True)) / (rows.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    (normal * outer).sum().backward()
    assert wide.grad is not None
    dense = {"embedding": wide.grad, "norm": (normal.detach() * outer).sum((0, 1)), "bias": outer.sum((0, 1))}[kind]
    found = part.values[name].grad
    torch.testing.assert_close(found, dense.flatten()[support], rtol=1e-5, atol=1e-5, check_dtype=False)


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


def test_an_empty_support_costs_nothing() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4)).requires_grad_(False)
    tokens = torch.tensor([1, 2])
    before = model(tokens)
    part = SparsePart(model, {name: draw(0, 0) for name, _ in model.named_parameters()})
    output = model(tokens)
    assert torch.equal(output, before)
    assert not output.requires_grad, "nothing is saved for a backward pass, and there is none"
    assert all(values.shape == (0,) for values in part.values.values())
    part.patch()
    assert torch.equal(model(tokens), before)


def test_nothing_is_saved_where_no_gradient_is_asked_for() -> None:
    layer = nn.Linear(3, 2).requires_grad_(False)
    SparsePart(layer, {"weight": torch.tensor([0])})
    with torch.no_grad():
        assert not layer(torch.ones(1, 3)).requires_grad


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_after_a_reselection_values_stand_where_they_belong(shares: tuple[float, float], seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4)).requires_grad_(False)
    base = {name: p.detach().clone() for name, p in model.named_parameters()}
    first, second = (
        {name: draw(p.numel(), share, seed + number) for name, p in base.items()} for number, share in enumerate(shares)
    )
    part = SparsePart(model, first)
    objects = dict(part.values)
    for values in part.values.values():
        values.data.normal_()
    part.patch()
    delta = {n: torch.zeros(p.numel()).index_copy(0, first[n], part.values[n].detach()) for n, p in base.items()}
    positions = part.reselect(second)
    for name, parameter in model.named_parameters():
        assert part.values[name] is objects[name], "the optimiser's parameters stay the same objects"
        assert torch.equal(part.indices[name], second[name])
        places = {index: place for place, index in enumerate(first[name].tolist())}
        assert positions[name].tolist() == [places.get(index, -1) for index in second[name].tolist()]
        assert torch.equal(part.values[name].detach(), delta[name][second[name]]), "a new one starts at zero"
        kept = torch.zeros(parameter.numel()).index_copy(0, second[name], delta[name][second[name]])
        assert torch.equal(parameter.detach(), base[name] + kept.view_as(parameter)), "one that left is as it was"
    for name, gradient in reselected_gradients(model).items():
        found = part.values[name].grad
        assert (found is None) == (len(second[name]) == 0)
        if found is not None:
            torch.testing.assert_close(found, gradient.flatten()[second[name]])
    part.remove()
    assert all(torch.equal(parameter, base[name]) for name, parameter in model.named_parameters())


def reselected_gradients(model: nn.Module) -> dict[str, Tensor]:
    """Run a backward pass through a model and a plain copy of it; return the copy's dense gradients."""
    plain = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4))
    plain.load_state_dict(model.state_dict())
    inputs, slopes = torch.randn(3, 5), torch.randn(3, 4)
    for each in (plain, model):
        output = each(inputs)
        if output.requires_grad:
            (output * slopes).sum().backward()
    return {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}


def test_a_tensor_that_is_not_named_in_a_reselection_gets_an_empty_support() -> None:
    model = nn.Sequential(nn.Linear(3, 2)).requires_grad_(False)
    part = SparsePart(model, {"0.weight": torch.tensor([1]), "0.bias": torch.tensor([0])})
    positions = part.reselect({"0.weight": torch.tensor([1, 2])})
    assert positions["0.weight"].tolist() == [0, -1]
    assert positions["0.bias"].tolist() == []
    assert not model[0].bias.requires_grad


def test_a_tensor_that_was_not_named_at_the_start_is_refused() -> None:
    part = SparsePart(nn.Linear(3, 2).requires_grad_(False), {"weight": torch.tensor([1])})
    with pytest.raises(ValueError, match="not made for bias; name every tensor"):
        part.reselect({"bias": torch.tensor([0])})


@pytest.mark.parametrize("density", DENSITIES)
def test_two_runs_give_the_same_bits(density: float) -> None:
    found = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            model = language_model("gpt2")
            part = SparsePart(model, {name: draw(p.numel(), density) for name, p in model.named_parameters()})
            for _ in range(2):
                language_loss(model, IDS).backward()
                for values in part.values.values():
                    values.data -= 0.1 * values.grad
                    values.grad = None
                part.patch()
            found.append(dict(part.values))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_layers_with_a_sparse_product_give_the_bits_of_the_plain_ones() -> None:
    for architecture in ("bert", "gpt2"):
        model = language_model(architecture)
        before = model(input_ids=IDS).logits
        part = SparsePart(model, {name: draw(p.numel(), 0.01) for name, p in model.named_parameters() if p.dim() == 2})
        assert torch.equal(model(input_ids=IDS).logits, before)
        part.release()
