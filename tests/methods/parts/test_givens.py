"""The tree of rotations is exact: the product of its stages, orthogonal, with the gradients of a dense formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.registry import load_method
from harness.targets import Targets
from methods.parts.givens import WIDTH, products, rotate, rotate_columns, rotations
from tests.methods.attaching import Attached, attach, backbone

METHODS = ("goft", "goft_scaled", "qgoft")
SIZES = (2, 3, 5, 7, 48, 96, 768, 3072, 11008)
THREE_LEVELS = WIDTH**2 + 3


def stages(size: int) -> list[list[tuple[int, int]]]:
    """Return the pairs of each stage as the paper's code deals them: halve, and carry an odd one on."""
    dealt, left, stride = [], size, 1
    while left > 1:
        dealt.append([(2 * stride * k, 2 * stride * k + stride) for k in range(left // 2)])
        left, stride = left // 2 + left % 2, 2 * stride
    return dealt


def dense(blocks: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return R = P_L ... P_2 P_1 diag(g), written out."""
    size = len(blocks) + 1
    product = torch.eye(size, dtype=blocks.dtype) if scale is None else torch.diag(scale)
    for pairs in stages(size):
        stage = torch.eye(size, dtype=blocks.dtype)
        for first, second in pairs:
            where = torch.tensor([first, second])
            stage = stage.index_put((where[:, None], where[None, :]), blocks[second - 1])
        product = stage @ product
    return product


def drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def angles(size: int, dtype: torch.dtype) -> Tensor:
    return math.pi * drawn(size - 1, dtype=dtype).tanh()


@settings(max_examples=40)
@given(size=st.integers(1, THREE_LEVELS), seed=st.integers(0, 99))
def test_rows_are_multiplied_by_the_product_of_the_stages_and_columns_by_its_transpose(size: int, seed: int) -> None:
    blocks, scale, rows = drawn(size - 1, 2, 2, seed=seed), drawn(size, seed=seed), drawn(3, size, seed=seed + 1)
    matrix, levels = dense(blocks, scale), products(blocks, scale)
    torch.testing.assert_close(rotate(rows, levels), rows @ matrix)
    torch.testing.assert_close(rotate(rows.view(1, 3, size), products(blocks)), (rows @ dense(blocks))[None])
    torch.testing.assert_close(rotate_columns(rows, levels), rows @ matrix.T)


@pytest.mark.parametrize("size", [2, 3, 5, 7, 48, THREE_LEVELS])
def test_there_are_exactly_d_minus_1_pairs_in_ceil_log2_d_stages(size: int) -> None:
    expected = {second: first for pairs in stages(size) for first, second in pairs}
    assert len(stages(size)) == math.ceil(math.log2(size))
    assert sorted(expected) == list(range(1, size))
    for second, first in expected.items():
        single = torch.zeros(size - 1)
        single[second - 1] = math.pi / 2
        turned = rotate(torch.eye(size), products(rotations(single)))
        permuted = torch.eye(size)
        permuted[[first, second]] = torch.stack([-permuted[second], permuted[first]])  # [[0, -1], [1, 0]]
        torch.testing.assert_close(turned, permuted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_rotations_are_orthogonal_to_1e_5_in_fp32(size: int) -> None:
    levels = products(rotations(angles(size, torch.float32)))
    sample = torch.arange(0, size, max(1, size // 200))  # some unit vectors: the whole identity would be d x d
    unit = functional.one_hot(sample, size).float()
    turned = rotate(unit, levels)
    identity = torch.eye(len(sample))
    torch.testing.assert_close(turned @ turned.T, identity, rtol=0, atol=1e-5)  # rows of R
    turned_back = rotate_columns(unit, levels)
    torch.testing.assert_close(turned_back @ turned_back.T, identity, rtol=0, atol=1e-5)  # columns of R
    torch.testing.assert_close(rotate_columns(turned, levels), unit, rtol=0, atol=1e-5)  # R R^T
    rows = drawn(20, size, dtype=torch.float32)
    torch.testing.assert_close(rotate(rows, levels).norm(dim=1), rows.norm(dim=1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [2, 3, 5, 7, 48, 96, THREE_LEVELS])
def test_the_determinant_is_plus_one(size: int) -> None:
    matrix = rotate(torch.eye(size, dtype=torch.float64), products(rotations(angles(size, torch.float64))))
    assert torch.linalg.det(matrix).item() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1, 2, 7, 48, THREE_LEVELS])
def test_gradients_are_those_of_the_dense_formula(size: int) -> None:
    blocks, scale, rows = (t.requires_grad_() for t in (drawn(size - 1, 2, 2), drawn(size), drawn(2, 3, size)))
    weights = drawn(2, 3, size, seed=5)
    ours = torch.autograd.grad((rotate(rows, products(blocks, scale)) * weights).sum(), (rows, scale, blocks))
    plain = (rows @ dense(blocks, scale) * weights).sum()
    expected = torch.autograd.grad(plain, (rows, scale, blocks), materialize_grads=True, allow_unused=True)
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, other)


def test_at_the_start_nothing_changes_by_a_single_bit() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        rows = drawn(4, 100).to(dtype)
        turned = rotate(rows, products(torch.eye(2).repeat(99, 1, 1), torch.ones(100)))
        assert torch.equal(turned, rows)
        assert turned.dtype == dtype


def test_in_bf16_small_angles_survive_and_gradients_reach_fp32_angles() -> None:
    turns = (1e-3 * drawn(299, dtype=torch.float32)).requires_grad_()
    rows = drawn(64, 300).bfloat16()
    exact = rows.double() @ dense(rotations(turns.detach().double()))
    turned = rotate(rows, products(rotations(turns)))
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.double(), exact, rtol=2**-7, atol=1e-4)
    (gradient,) = torch.autograd.grad((turned.float() ** 3).sum(), turns)
    wide = turns.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(((rows.double() @ dense(rotations(wide))) ** 3).sum(), wide)
    assert gradient.dtype == torch.float32
    assert functional.cosine_similarity(gradient.double(), expected, dim=0) > 0.99


def test_under_autocast_the_type_is_that_of_autocast_in_both_passes() -> None:
    turns = (0.1 * drawn(39, dtype=torch.float32)).requires_grad_()
    rows = drawn(8, 40, dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        turned = rotate(rows, products(rotations(turns)))
        assert turned.dtype == torch.bfloat16
        turned.float().square().sum().backward()  # type: ignore[no-untyped-call]
    assert turns.grad is not None
    assert rows.grad is not None
    assert turns.grad.dtype == rows.grad.dtype == torch.float32
    torch.testing.assert_close(rows.grad, 2 * rows.detach(), rtol=0.05, atol=0.05)


class Largest(TorchDispatchMode):
    """Note the size of the largest tensor that any operation returns."""

    scalars = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.scalars = max(self.scalars, tensor.numel())
        return result


def test_no_matrix_of_d_by_d_is_built_in_either_pass_or_in_merging() -> None:
    size = 11008
    turns, rows = torch.zeros(size - 1, requires_grad=True), torch.ones(2, size, requires_grad=True)
    with Largest() as largest:
        levels = products(rotations(turns))
        rotate(rows, levels).sum().backward()  # type: ignore[no-untyped-call]
        rotate_columns(rows.detach(), levels)
    assert 0 < largest.scalars <= 2 * WIDTH * size


def test_the_backward_pass_keeps_the_inputs_themselves_and_nothing_else_of_their_size() -> None:
    rows, kept = drawn(1000, 300, dtype=torch.float32).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.untyped_storage()) or t, lambda t: t):
        rotate(rows, products(rotations(torch.zeros(299, requires_grad=True))))
    large = [storage for storage in kept if storage.nbytes() >= 4 * 1000 * 300]
    assert [storage.data_ptr() for storage in large] == [rows.untyped_storage().data_ptr()]


# What holds for every method that turns inputs.


def stir(started: Attached) -> None:
    """Move every trained scalar away from its start."""
    for name, parameter in started.method.own_parameters().items():
        parameter.data += 0.2 * drawn(*parameter.shape, dtype=torch.float32, seed=len(name))


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2", "gpt2", "llama", "opt", "roberta", "vit"])
@pytest.mark.parametrize("name", METHODS)
def test_merging_keeps_outputs_on_every_architecture(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    plain = started.outputs()
    stir(started)
    before = started.outputs()
    started.method.merge(started.model)
    assert not torch.allclose(plain, before, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(started.outputs(), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_merged_weight_is_the_weight_times_the_transpose_of_r(name: str) -> None:
    for architecture in ("llama", "gpt2"):  # grouped queries; a weight kept the other way round
        started = attach(name, backbone(architecture))
        stir(started)
        modules = started.plan.targets.modules
        before = {key: module.weight.detach().clone() for key, module in modules.items()}
        own = {key: part.detach().double() for key, part in started.method.own_parameters().items()}
        started.method.merge(started.model)
        for key, module in modules.items():
            if name == "qgoft":
                matrix = dense(own[f"{key}.blocks"])
            else:
                matrix = dense(rotations(math.pi * own[f"{key}.angles"].tanh()), own.get(f"{key}.scale"))
            old, new = before[key].double(), module.weight.detach().double()
            old, new = (old.T, new.T) if architecture == "gpt2" else (old, new)
            torch.testing.assert_close(new, old @ matrix.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_accumulation_and_checkpointing_give_the_gradients_of_one_batch(name: str) -> None:
    gradients = []
    for way in ("whole", "accumulated", "checkpointed"):
        started = attach(name, backbone("bert"))
        stir(started)
        if way == "checkpointed":
            started.model.activation_checkpointing_enable({"use_reentrant": False})
        started.model.train()
        for module in started.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        for rows in [slice(0, 1), slice(1, 4)] if way == "accumulated" else [slice(0, 4)]:
            batch = {key: tensor[rows] for key, tensor in started.batch.items()}
            functional.cross_entropy(started.logits(batch), batch["labels"], reduction="sum").backward()
        gradients.append({key: part.grad for key, part in started.method.updated().items()})
    for other in gradients[1:]:
        for key, gradient in gradients[0].items():
            torch.testing.assert_close(other[key], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_trained_scalars_are_fp32_over_bf16_weights(name: str) -> None:
    started = attach(name, backbone("llama", torch.bfloat16))
    assert {parameter.dtype for parameter in started.method.updated().values()} == {torch.float32}
    losses = started.train(20, lr=1e-2)
    assert losses[-1] < 0.5 * losses[0]
    before = started.outputs()
    started.method.merge(started.model)
    torch.testing.assert_close(started.outputs(), before, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", METHODS)
def test_targets_without_linear_layers_do_not_apply(name: str) -> None:
    with pytest.raises(NotApplicable, match=r"turns the inputs of linear layers; targets 'linear' names none"):
        attach(name, backbone("resnet"))
    with pytest.raises(NotApplicable, match="targets 'all' names none"):
        attach(name, backbone("bert"), targets="all")


@pytest.mark.parametrize("name", METHODS)
def test_a_budget_does_not_apply_to_a_method_of_one_size(name: str) -> None:
    started = attach(name, backbone("bert"))
    with pytest.raises(NotApplicable, match="has one size and takes no budget"):
        started.method.solve(started.model, started.plan)


@pytest.mark.parametrize("name", METHODS)
def test_a_layer_of_one_input_has_no_pair_and_only_such_layers_do_not_apply(name: str) -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 3))
    modules: dict[str, nn.Module] = {"0": model[0], "1": model[1]}
    kind = load_method(name)
    method, plan = kind(), Plan(Targets("linear", modules, {}), frozenset(), 100)
    method.start(model, plan, Streams(0))
    assert sum(part.numel() for part in method.trained().values()) == method.count(model, plan)
    optimizer = torch.optim.AdamW(method.parameter_groups(), lr=0.1)
    model(torch.ones(2, 1)).square().sum().backward()
    optimizer.step()
    before = model(torch.ones(2, 1))
    method.merge(model)
    torch.testing.assert_close(model(torch.ones(2, 1)), before)
    with pytest.raises(NotApplicable, match="smallest is 2"):
        kind().count(model, Plan(Targets("linear", {"0": model[0]}, {}), frozenset(), 100))
