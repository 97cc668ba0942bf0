"""Every discovered method keeps every promise of the method contract, on tiny backbones of each architecture."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness import registry
from harness.method import MethodCard
from tests.methods.attaching import Attached, attach, backbone, targets_of

METHODS = sorted(registry.methods())
ARCHITECTURES = ("bert", "gpt2", "llama", "opt", "roberta")
IMPOSSIBLE = {("bitfit", "llama")}
"""Pairs that make no sense, each with its own test: a Llama has no bias."""
PAIRS = [pair for pair in itertools.product(METHODS, ARCHITECTURES) if pair not in IMPOSSIBLE]
BROAD = [(name, architecture) for name, architecture in PAIRS if architecture in ("bert", "gpt2")]


def same_bits(first: Tensor, second: Tensor) -> bool:
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    integer = {2: torch.int16, 4: torch.int32}[first.element_size()]
    return torch.equal(first.detach().view(integer), second.detach().view(integer))


def test_the_sweep_visits_every_method() -> None:
    assert {"base", "bitfit", "full", "head_only", "lora", "random_mask"} <= set(METHODS)
    assert len(PAIRS) == len(METHODS) * len(ARCHITECTURES) - len(IMPOSSIBLE) >= 29


@pytest.mark.parametrize("name", METHODS)
def test_the_card_is_valid_and_named_after_its_file(name: str) -> None:
    entry = registry.methods()[name]
    card = MethodCard.model_validate(entry.card)
    assert card.name == name == entry.path.stem
    assert all(0 < low < high for low, high in card.tuned.values())


@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_outputs_are_unchanged_at_the_start(name: str, architecture: str) -> None:
    loaded = backbone(architecture)
    started = attach(name, loaded)
    after = started.outputs()
    started.detach()
    before = started.outputs()  # the head's fresh values stay, so that only the method can make a difference
    assert registry.methods()[name].card["starts_at_identity"] == torch.allclose(before, after, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_the_count_is_that_of_the_formula_and_within_the_budget(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    trained = sum(parameter.numel() for parameter in started.method.trained().values())
    assert trained == started.method.count(started.model, started.plan)
    assert started.plan.budget is None or 0 < trained <= started.plan.budget
    assert started.method.stored_bits() >= 32 * trained


@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_steps_move_all_of_the_declared_part_and_nothing_else(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    declared, before = started.method.state(), started.tensors()
    started.train(2)
    moved = started.method.updated()
    # An embedding of a byte that the texts lack has no gradient; every declared tensor has some.
    assert [key for key in moved if torch.equal(moved[key], declared[key])] == []
    free = {id(parameter) for parameter in moved.values()}
    part = getattr(started.method, "part", None)
    for key, parameter in started.model.named_parameters():
        if id(parameter) in free:
            continue
        if part is not None and key in part.indices:
            mask = torch.ones(parameter.numel(), dtype=torch.bool)
            mask[part.indices[key]] = False
            assert same_bits(parameter.view(-1)[mask], before[key].view(-1)[mask]), key
        else:
            assert same_bits(parameter, before[key]), key
            assert parameter.grad is None, key


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_detach_restores_the_backbone_bit_by_bit(name: str, architecture: str, dtype: torch.dtype) -> None:
    loaded = backbone(architecture, dtype)
    before = {key: p.detach().clone() for key, p in loaded.model.named_parameters() if key not in loaded.head}
    structure = [(key, type(module)) for key, module in loaded.model.named_modules()]
    attributes = {key: set(vars(module)) for key, module in loaded.model.named_modules()}
    started = attach(name, loaded)
    started.train(2)
    started.detach()
    after = {key: p for key, p in loaded.model.named_parameters() if key not in loaded.head}
    assert after.keys() == before.keys()
    assert [key for key in before if not same_bits(before[key], after[key])] == []
    assert loaded.changed() == []
    assert [(key, type(module)) for key, module in loaded.model.named_modules()] == structure
    assert {key: set(vars(module)) for key, module in loaded.model.named_modules()} == attributes
    for module in loaded.model.modules():
        assert not module.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    for parameter in loaded.model.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None
        assert not getattr(parameter, "_post_accumulate_grad_hooks", None)


@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_merge_keeps_outputs_and_leaves_a_plain_model(name: str, architecture: str) -> None:
    loaded = backbone(architecture)
    structure = [(key, type(module)) for key, module in loaded.model.named_modules()]
    started = attach(name, loaded)
    started.train(3)
    before = started.outputs()
    started.method.finalize(started.model)
    started.method.merge(started.model)
    assert [(key, type(module)) for key, module in loaded.model.named_modules()] == structure
    torch.testing.assert_close(started.outputs(), before, rtol=1e-5, atol=1e-5)
    plain = backbone(architecture)
    plain.model.load_state_dict(loaded.model.state_dict())
    torch.testing.assert_close(
        Attached(started.method, plain, started.plan, started.batch).outputs(), before, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("name", "architecture"), BROAD)
def test_a_saved_part_gives_equal_outputs_on_a_fresh_backbone(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    started.train(2)
    fresh = attach(name, backbone(architecture))
    if fresh.method.trains_head:  # otherwise the head is no part of what is saved
        fresh.backbone.initialise_head(99)
    fresh.method.load_state(started.method.state())
    assert same_bits(fresh.outputs(), started.outputs())


@pytest.mark.parametrize("name", METHODS)
def test_a_part_that_does_not_fit_is_refused(name: str) -> None:
    started = attach(name, backbone("bert"))
    with pytest.raises(ValueError, match="does not fit .* differs in nonsense"):
        started.method.load_state({**started.method.state(), "nonsense": torch.zeros(1)})


@pytest.mark.parametrize(("name", "architecture"), BROAD)
def test_same_seed_same_bits(name: str, architecture: str) -> None:
    states = []
    for _ in range(2):
        started = attach(name, backbone(architecture), seed=7)
        started.train(3)
        states.append(started.method.state())
    assert states[0].keys() == states[1].keys()
    assert all(same_bits(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
@pytest.mark.parametrize("name", [name for name in METHODS if name != "base"])
def test_the_loss_falls_in_fifty_steps(name: str, architecture: str) -> None:
    started = attach(name, backbone(architecture))
    for module in started.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    losses = started.train(50, lr=1e-2)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", METHODS)
def test_the_configuration_survives_json_and_refuses_unknown_keys(name: str) -> None:
    started = attach(name, backbone("bert"))
    config = started.method.config
    assert type(config).model_validate(json.loads(config.model_dump_json())) == config
    with pytest.raises(ValidationError, match="no_such_value"):
        type(config).model_validate({"no_such_value": 1})
    assert targets_of(name)
