"""Pruning zeroes exactly as many scalars as the schedule says, the same ones everywhere, found once a step."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.random import Streams
from harness.registry import load_method
from harness.targets import Targets, weight_shape
from methods.parts import pruning
from methods.parts.pruning import Schedule, keep_largest
from runners.specimen import STEPS
from tests.methods.attaching import Attached, attach, backbone, planned

METHODS = ["pst", "magnitude_prune", "movement_prune"]
LR = 1e-2


def effective(started: Attached, name: str) -> Tensor:
    """Return the weight that a targeted layer multiplies with, (outputs, inputs), seen from outside."""
    layer = started.plan.targets.modules[name]
    assert not layer.bias.any()  # type: ignore[operator]  # a module's attributes are typed as tensor or module
    with torch.no_grad():
        weight: Tensor = layer(torch.eye(weight_shape(layer)[1])).T
    return weight


def toy(name: str, weight: Tensor, total_steps: int, **values: float) -> tuple[nn.Linear, Method]:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data.copy_(weight)
    model = nn.Sequential(layer)
    targets = Targets("linear", {"0": layer}, {"0.weight": layer.weight})
    kind, ranks = load_method(name), {"weight_rank": 1, "score_rank": 1} if name == "pst" else {}
    method = kind(kind.Config.model_validate({**values, **ranks}))
    method.start(model, Plan(targets, frozenset(), weight.numel(), total_steps=total_steps), Streams(0))
    return layer, method


def zeros(layer: nn.Linear) -> list[int]:
    """Return the flat indices of a toy's zeros."""
    with torch.no_grad():
        weight = (layer(torch.eye(layer.in_features)) - layer.bias).T
    return torch.nonzero(weight.flatten().abs() < 1e-6).flatten().tolist()


@settings(max_examples=300)
@given(target=st.floats(0, 1, exclude_max=True), total=st.integers(1, 400))
def test_the_schedule_rises_from_nothing_to_exactly_the_target(target: float, total: int) -> None:
    schedule = Schedule(target, total)
    levels = [schedule.sparsity(step) for step in range(total + 1)]
    assert levels[0] == 0
    assert levels[-1] == target
    assert all(0 <= low <= high <= target for low, high in pairwise(levels))
    assert [step for step in range(total + 1) if schedule.cooling(step) and levels[step] != target] == []


@given(target=st.floats(0.01, 0.99), tens=st.integers(1, 300))
def test_the_schedule_is_the_papers_cubic_between_warm_up_and_cool_down(target: float, tens: int) -> None:
    total, schedule = 10 * tens, Schedule(target, 10 * tens)
    assert schedule.sparsity(tens) == pytest.approx(0, abs=1e-12)
    assert schedule.sparsity(7 * tens) == pytest.approx(target, abs=1e-12)
    for step in range(tens, 7 * tens + 1, tens):
        past = Fraction(step - tens, total - 4 * tens)  # (t - aT) / (T (1 - a - c))
        assert schedule.sparsity(step) == pytest.approx(float(target + (0 - target) * float(1 - past) ** 3), abs=1e-12)
    assert not schedule.cooling(7 * tens - 1)
    assert schedule.cooling(7 * tens + 1)


SCORES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=9),
    elements=st.one_of(st.integers(-2, 2).map(float), st.floats(width=32, allow_nan=False)),
)


@settings(max_examples=300)
@given(scores=SCORES, share=st.floats(0, 1))
def test_exactly_the_smallest_scores_are_dropped_and_ties_by_index(scores: np.ndarray, share: float) -> None:
    count = int(scores.size * share)
    expected = np.ones(scores.size, dtype=bool)
    expected[np.argsort(scores, axis=None, kind="stable")[:count]] = False
    assert np.array_equal(keep_largest(torch.from_numpy(scores), count).numpy(), expected.reshape(scores.shape))


@pytest.mark.gpu
def test_a_gpu_drops_the_same_scores() -> None:
    scores = torch.randint(0, 50, (300, 70), generator=torch.Generator().manual_seed(0)).float()
    for count in (0, 1, 9_000, 20_999, 21_000):
        assert torch.equal(keep_largest(scores.cuda(), count).cpu(), keep_largest(scores, count))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_every_matrix_has_exactly_its_zeros_at_every_step(name: str, architecture: str) -> None:
    started, schedule = attach(name, backbone(architecture), sparsity=0.83), Schedule(0.83, STEPS)
    optimizer = torch.optim.AdamW(started.method.parameter_groups(), lr=LR)
    for step in range(STEPS + 3):
        total = 0
        for layer in started.plan.targets.modules:
            weight = effective(started, layer)
            expected = int(weight.numel() * schedule.sparsity(step))
            assert int((weight == 0).sum()) == expected
            total += expected
        size = sum(tensor.numel() for tensor in started.plan.targets.tensors.values())
        assert started.method.zeros() == (total, size)
        started.step(optimizer)
    assert 0.82 < total / size < 0.83


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("total", "levels"), [(1, [0, 0.75]), (2, [0, 0.75 * 26 / 27, 0.75]), (0, [0, 0.75])])
def test_a_run_of_a_step_or_two_ends_at_the_target(name: str, total: int, levels: list[float]) -> None:
    layer, method = toy(name, torch.rand(6, 8) + 0.5, total, sparsity=0.75)
    for step, level in enumerate(levels):
        if step:
            method.after_step(step)
        assert len(zeros(layer)) == int(48 * level)
    assert method.selectable(len(levels) - 1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [0.5, -0.5])
def test_equal_weights_are_dropped_by_index(name: str, value: float) -> None:
    layer, method = toy(name, torch.full((3, 5), value), total_steps=1, sparsity=0.5)
    method.after_step(1)
    assert zeros(layer) == list(range(7))


@pytest.mark.parametrize("name", METHODS)
def test_sparsity_zero_prunes_nothing_at_any_step(name: str) -> None:
    started = attach(name, backbone("bert"), sparsity=0)
    started.train(STEPS, lr=LR)
    zeros, size = started.method.zeros() or (None, 0)
    assert zeros == 0
    assert size == 16_384
    assert [started.method.selectable(step) for step in (7, 8)] == [False, True]


@pytest.mark.parametrize("name", METHODS)
def test_a_weight_of_zeros_stays_one(name: str) -> None:
    layer, method = toy(name, torch.zeros(4, 4), total_steps=1)
    layer(torch.ones(2, 4)).square().sum().backward()
    method.after_step(1)
    assert zeros(layer) == list(range(16))
    assert method.zeros() == (16, 16)


def test_zeros_that_the_backbone_had_are_dropped_first_and_counted_once() -> None:
    weight = torch.rand(4, 4) + 0.5
    weight[2] = 0
    layer, method = toy("magnitude_prune", weight, total_steps=1, sparsity=0.5)
    assert method.zeros() == (4, 16)
    method.after_step(1)
    assert method.zeros() == (8, 16)
    assert {8, 9, 10, 11} < set(zeros(layer))


@pytest.mark.parametrize("name", METHODS)
def test_masks_are_made_once_a_step_and_kept_for_every_batch_between(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(pruning, "keep_largest", lambda *given: calls.append(1) or keep_largest(*given))
    started = attach(name, backbone("bert"))
    started.train(5)
    assert len(calls) == 12 * 4, "twelve matrices in four steps: the first lies in the warm-up"
    for _ in range(3):
        started.outputs()
        started.logits()
    assert len(calls) == 12 * 4


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_part_saved_half_way_gives_equal_outputs_whatever_the_new_plan(name: str, dtype: torch.dtype) -> None:
    started = attach(name, backbone("gpt2", dtype), sparsity=0.7)
    started.train(5, lr=LR)
    assert 0 < started.method.zeros()[0] < int(0.7 * 24_576) - 12  # type: ignore[index]  # it makes sparse models
    fresh_backbone = backbone("gpt2", dtype)
    plan = dataclasses.replace(planned(fresh_backbone, "linear"), total_steps=1000)
    method = type(started.method)(started.method.config)
    method.start(fresh_backbone.model, plan, Streams(9))
    method.load_state(started.method.state())
    fresh = Attached(method, fresh_backbone, plan, started.batch, started.dtype)
    assert torch.equal(fresh.outputs(), started.outputs())
    assert method.zeros() == started.method.zeros()


@pytest.mark.parametrize("name", METHODS)
def test_an_earlier_state_brings_its_own_masks_back(name: str) -> None:
    started = attach(name, backbone("bert"))
    started.train(5, lr=LR)
    state, outputs, zeros = started.method.state(), started.outputs(), started.method.zeros()
    started.train(4, lr=LR)
    assert started.method.zeros() != zeros
    started.method.load_state(state)
    assert started.method.zeros() == zeros
    assert torch.equal(started.outputs(), outputs)


@pytest.mark.parametrize("level", [-0.1, 1.0, float("nan")])
def test_a_state_with_a_sparsity_that_cannot_be_is_refused(level: float) -> None:
    started = attach("pst", backbone("bert"))
    state = {**started.method.state(), "buffer:sparsity": torch.tensor(level, dtype=torch.float64)}
    with pytest.raises(ValueError, match=r"names a sparsity of .*; it lies in \[0, 1\)"):
        started.method.load_state(state)


def gradients(started: Attached, parts: int) -> dict[str, Tensor]:
    rows = len(started.batch["labels"])
    for start in range(0, rows, rows // parts):
        batch = {key: tensor[start : start + rows // parts] for key, tensor in started.batch.items()}
        (functional.cross_entropy(started.logits(batch), batch["labels"]) / parts).backward()  # type: ignore[no-untyped-call]
    found = {name: parameter.grad for name, parameter in started.method.updated().items()}
    for parameter in started.method.updated().values():
        parameter.grad = None
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_accumulation_and_checkpointing_give_the_gradients_of_one_batch(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    started.train(5, lr=LR)
    for module in started.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    whole = gradients(started, 1)
    parts = gradients(started, 4)
    started.model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    checkpointed = gradients(started, 1)
    assert whole.keys() == parts.keys() == checkpointed.keys() == started.method.updated().keys()
    for key, gradient in whole.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parts[key], gradient, rtol=1e-4, atol=1e-5 * scale)
        torch.testing.assert_close(checkpointed[key], gradient, rtol=1e-4, atol=1e-5 * scale)


def test_a_graph_from_before_the_step_fails_instead_of_going_wrong() -> None:
    layer, method = toy("pst", torch.rand(4, 4), total_steps=1)
    loss = layer(torch.ones(2, 4, requires_grad=True)).sum()
    method.after_step(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_value_that_is_no_number_shows_under_the_mask_too() -> None:
    weight = torch.rand(4, 4) + 1
    layer, method = toy("movement_prune", weight, total_steps=1, sparsity=0.5)
    layer.weight.data[0, 0] = float("nan")  # its score ties with all others, so it is dropped first
    method.after_step(1)
    assert layer(torch.ones(1, 4)).isnan().any()


@pytest.mark.parametrize("name", METHODS)
def test_a_frozen_head_is_an_option_and_stays_as_it_was(name: str) -> None:
    started = attach(name, backbone("bert"), train_head=False)
    before = {key: parameter.clone() for key, parameter in started.method.head().items()}
    started.train(3, lr=LR)
    assert not started.method.trains_head
    assert before
    assert not before.keys() & started.method.updated().keys()
    assert all(torch.equal(before[key], parameter) for key, parameter in started.method.head().items())
    assert attach(name, backbone("bert"), sparsity=0.5).method.trains_head


@pytest.mark.parametrize("name", METHODS)
def test_frozen_weights_in_bf16_are_multiplied_in_bf16_and_trained_in_fp32(name: str) -> None:
    started = attach(name, backbone("llama", torch.bfloat16), sparsity=0.5)
    assert {parameter.dtype for parameter in started.method.updated().values()} == {torch.float32}
    losses = started.train(20, lr=LR)
    assert losses[-1] < losses[0]
    outputs = started.outputs()
    started.method.merge(started.model)
    assert torch.equal(started.outputs(), outputs)
    for tensor in started.plan.targets.tensors.values():
        assert torch.equal(tensor, tensor.bfloat16().to(tensor.dtype))
        assert int((tensor == 0).sum()) == tensor.numel() // 2


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("targets", "reason"), [("all", "names .*embeddings.* of a Embedding"), ("none", "'none' names none")]
)
def test_targets_that_are_no_weights_of_layers_do_not_apply(name: str, targets: str, reason: str) -> None:
    loaded = backbone("bert")
    plan = planned(loaded, targets)
    with pytest.raises(NotApplicable, match=reason):
        load_method(name)().count(loaded.model, plan)
    with pytest.raises(NotApplicable, match=reason):
        load_method(name)().start(loaded.model, plan, Streams(0))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("values", [{"sparsity": 1.0}, {"sparsity": -0.1}, {"train_head": "sometimes"}, {"sparse": 1}])
def test_bad_values_are_refused_by_name(name: str, values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        load_method(name).Config.model_validate(values)
