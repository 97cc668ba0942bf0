"""A patched module computes something else and is otherwise what it was."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.parts.patching import Patches


def doubled(module: nn.Module, inputs: Tensor) -> Tensor:
    return 2 * type(module).forward(module, inputs)


def test_a_patched_module_computes_the_given_pass_and_keeps_its_structure() -> None:
    model, inputs = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.randn(4, 3)
    before, keys, kinds = model[0](inputs), list(model.state_dict()), [type(module) for module in model.modules()]
    Patches().patch(model[0], doubled)
    assert torch.equal(model[0](inputs), 2 * before)
    assert list(model.state_dict()) == keys
    assert [type(module) for module in model.modules()] == kinds


def test_only_the_patched_module_changes() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    inputs = torch.randn(2, 3)
    before = second(inputs)
    Patches().patch(first, doubled)
    assert torch.equal(second(inputs), before)


def test_remove_gives_every_module_its_own_pass_back() -> None:
    model, inputs = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), torch.randn(2, 3)
    before, attributes = model(inputs), [set(vars(module)) for module in model.modules()]
    patches = Patches()
    for layer in model:
        patches.patch(layer, doubled)
    assert not torch.equal(model(inputs), before)
    patches.remove()
    assert torch.equal(model(inputs), before)
    assert [set(vars(module)) for module in model.modules()] == attributes
    patches.remove()  # nothing is left to do


def test_forward_hooks_of_a_patched_module_still_run() -> None:
    layer, seen = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    Patches().patch(layer, doubled)
    output = layer(torch.ones(1, 3))
    assert len(seen) == 1
    assert seen[0] is output


def test_modules_can_be_patched_again_after_removal() -> None:
    layer, inputs, patches = nn.Linear(3, 2), torch.ones(1, 3), Patches()
    before = layer(inputs)
    patches.patch(layer, doubled)
    patches.remove()
    patches.patch(layer, doubled)
    assert torch.equal(layer(inputs), 2 * before)
