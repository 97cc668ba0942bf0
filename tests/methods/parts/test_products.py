"""The gradient on a support is the dense one there, in whichever form it is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from methods.parts import products
from methods.parts.products import Geometry, Scratch, Support, convolution, linear


def draw(size: int, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.sort(np.random.default_rng(seed).choice(size, count, replace=False)))


def force(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Let every product be computed in one form; ``chosen`` leaves the choice."""
    limits = {"gathered": (1e9, 0.0, 0.0), "sampled": (0.0, 1.0, 1.0), "dense": (0.0, 0.0, 0.0)}
    if form in limits:
        chosen = products.Limits(*limits[form])
        monkeypatch.setattr(products, "ON_CPU", {torch.float32: chosen, torch.bfloat16: chosen})
        monkeypatch.setattr(products, "SAMPLED_CHANNELS", 1)


@pytest.mark.parametrize("form", ["gathered", "sampled", "dense", "chosen"])
@pytest.mark.parametrize("turned", [False, True])
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    rows=st.integers(1, 3),
    tokens=st.sampled_from([1, 7, 300]),  # one block, and more than one
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_a_linear_layers_gradients_are_those_of_the_formula_in_float64(
    form: str, turned: bool, shape: tuple[int, int], rows: int, tokens: int, share: float, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        force(monkeypatch, form)
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(shape, generator=generator)
        inputs = torch.randn(rows, tokens, shape[0 if turned else 1], generator=generator, requires_grad=True)
        slopes = torch.randn(rows, tokens, shape[1 if turned else 0], generator=generator)
        bias = torch.randn(slopes.shape[-1], generator=generator, requires_grad=True)
        indices = draw(weight.numel(), round(share * weight.numel()), seed)
        values = torch.zeros(indices.numel(), requires_grad=True)
        output = linear(inputs, weight, bias, values, Support(weight.shape, indices, Scratch()), turned)
        (output * slopes).sum().backward()
    wide, outer, inner = (weight.t() if turned else weight).double(), slopes.double(), inputs.detach().double()
    dense = torch.einsum("bto,bti->io" if turned else "bto,bti->oi", outer, inner)
    close = {"rtol": 1e-5, "atol": 1e-4, "check_dtype": False}
    torch.testing.assert_close(output.detach(), inner @ wide.t() + bias.detach().double(), **close)
    torch.testing.assert_close(values.grad, dense.reshape(-1)[indices], **close)
    torch.testing.assert_close(inputs.grad, outer @ wide, **close)
    torch.testing.assert_close(bias.grad, outer.sum(dim=(0, 1)), **close)


@pytest.mark.parametrize("form", ["sampled", "dense", "chosen"])
@given(
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 2),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_a_convolutions_gradients_are_those_of_the_plain_one_in_float64(
    form: str, channels: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, dilation: int,
    groups: int, share: float, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    outputs, inputs_per_group = channels[0] * groups, channels[1]
    weight, bias = torch.randn(outputs, inputs_per_group, *kernel), torch.randn(outputs, requires_grad=True)
    inputs = torch.randn(2, inputs_per_group * groups, 6, 7, requires_grad=True)
    geometry = Geometry((stride, 1), (padding, 1), (dilation, 1), groups)
    indices = draw(weight.numel(), round(share * weight.numel()), seed)
    values = torch.zeros(indices.numel(), requires_grad=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        force(monkeypatch, form)
        output = convolution(inputs, weight, bias, values, Support(weight.shape, indices, Scratch()), geometry)
        slopes = torch.randn_like(output)
        (output * slopes).sum().backward()
    wide = [tensor.detach().double().requires_grad_() for tensor in (inputs, weight, bias)]
    expected = functional.conv2d(*wide, *geometry)
    (expected * slopes).sum().backward()
    close = {"rtol": 1e-4, "atol": 1e-4, "check_dtype": False}
    torch.testing.assert_close(output, expected, **close)
    torch.testing.assert_close(values.grad, wide[1].grad.reshape(-1)[indices], **close)
    torch.testing.assert_close(inputs.grad, wide[0].grad, **close)
    torch.testing.assert_close(bias.grad, wide[2].grad, **close)


@pytest.mark.parametrize("form", ["gathered", "sampled", "dense"])
def test_bf16_products_are_near_the_exact_ones_and_their_gradients_are_fp32(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, form)
    torch.manual_seed(0)
    left, right = torch.randn(300, 30, dtype=torch.bfloat16), torch.randn(300, 20, dtype=torch.bfloat16)
    support = Support(torch.Size((30, 20)), draw(600, 80), Scratch())
    found = support.product(left, right)
    assert found.dtype == torch.float32
    exact = (left.double().t() @ right.double()).reshape(-1)[support.indices]
    # Only the dense form rounds its result to bf16; the others add in fp32.
    tolerance = {"rtol": 8e-3, "atol": 8e-2} if form == "dense" else {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(found.double(), exact, **tolerance)


@pytest.mark.parametrize("form", ["sampled", "dense"])
def test_bf16_convolutions_work_under_autocast(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, form)
    torch.manual_seed(0)
    weight, bias, inputs = torch.randn(8, 3, 2, 2).bfloat16(), torch.zeros(8), torch.randn(2, 3, 6, 6)
    support = Support(weight.shape, draw(96, 60), Scratch())
    values = torch.zeros(60, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = convolution(inputs, weight, bias, values, support, Geometry((2, 2), (0, 0), (1, 1), 1))
    output.float().sum().backward()
    windows = functional.unfold(inputs.bfloat16().double(), 2, stride=2)
    expected = windows.sum(dim=(0, 2)).repeat(8)[support.indices]
    assert values.grad is not None
    assert values.grad.dtype == torch.float32
    torch.testing.assert_close(values.grad.double(), expected, rtol=1e-2, atol=5e-2)


def test_each_form_is_chosen_where_it_was_measured_to_be_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []

    def note(form: str) -> Any:  # Any: stands for methods of several signatures
        def answer(self: Support, *given: Any) -> Tensor:
            chosen.append(form)
            return torch.zeros(self.indices.numel())

        return answer

    for form, method in (("gathered", "_gathered"), ("sampled", "sampled"), ("dense", "entries")):
        monkeypatch.setattr(Support, method, note(form))
    for kind, expected in (
        (torch.float32, ["gathered", "sampled", "sampled", "dense"]),
        (torch.bfloat16, ["gathered", "sampled", "dense", "dense"]),
    ):
        left, right = torch.randn(4, 100).to(kind), torch.randn(4, 200).to(kind)
        for density in (0.001, 0.02, 0.08, 0.5):
            support = Support(torch.Size((100, 200)), draw(20_000, int(20_000 * density)), Scratch())
            support.product(left, right)
        assert chosen == expected
        chosen.clear()


def test_the_scratch_is_one_buffer_that_grows_to_the_largest_matrix() -> None:
    scratch, like = Scratch(), torch.zeros(1)
    small = scratch.matrix(2, 3, like)
    large = scratch.matrix(4, 5, like)
    assert small.shape == (2, 3)
    assert large.shape == (4, 5)
    assert scratch.matrix(2, 3, like).data_ptr() == large.data_ptr()
    scratch.free()
    assert scratch.matrix(1, 1, like).untyped_storage().nbytes() == 4


@pytest.mark.parametrize("form", ["gathered", "sampled", "dense", "chosen"])
def test_the_same_product_gives_the_same_bits(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, form)
    left, right = torch.randn(300, 30), torch.randn(300, 20)
    support = Support(torch.Size((30, 20)), draw(600, 50), Scratch())
    assert torch.equal(support.product(left, right), support.product(left, right))


def test_only_the_inputs_are_saved_for_the_backward_pass() -> None:
    saved: list[Tensor] = []
    layer, inputs = nn.Linear(20, 30).requires_grad_(False), torch.randn(5, 20, requires_grad=True)
    values = torch.zeros(3, requires_grad=True)
    support = Support(layer.weight.shape, draw(600, 3), Scratch())
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        linear(inputs, layer.weight, layer.bias, values, support)
    assert {tensor.data_ptr() for tensor in saved} == {inputs.data_ptr(), layer.weight.data_ptr()}
