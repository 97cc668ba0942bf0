"""A snapshot undoes what a library does to a model: structure, attributes, storage, flags and configuration."""

from __future__ import annotations

import torch
from torch import nn

from harness.backbone import same_bits
from methods.parts.snapshot import Snapshot
from tests.methods.attaching import backbone


def test_everything_that_was_rebuilt_is_as_it_was() -> None:
    model = backbone("bert").model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    structure = [(name, id(module)) for name, module in model.named_modules()]
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    settings = dict(vars(model.config))
    snapshot = Snapshot(model)

    encoder = model.get_submodule("bert.encoder.layer.0.output")
    encoder.dense = nn.Sequential(encoder.dense)
    encoder.register_forward_hook(lambda *_: None)
    encoder.extra = nn.Parameter(torch.ones(1))
    model.peft_config = {}
    model.forward = lambda: None
    model.config.use_cache = not model.config.use_cache
    pooler = model.get_submodule("bert.pooler.dense")
    pooler.weight.data = pooler.weight.data.double()
    pooler.weight.requires_grad_(False)
    del model.get_submodule("bert.encoder.layer.1.output.dense")._parameters["bias"]
    assert snapshot.changed(model).keys() == {
        f"bert.encoder.layer.0.output.dense.{name}" for name in ("weight", "bias")
    }

    snapshot.restore()
    assert [(name, id(module)) for name, module in model.named_modules()] == structure
    assert {name: set(vars(module)) for name, module in model.named_modules()} == attributes
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    assert all(same_bits(before[name], after[name]) and after[name].requires_grad for name in before)
    assert not encoder._forward_hooks
    assert vars(model.config) == settings


def test_one_snapshot_restores_again_and_again() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    snapshot = Snapshot(model)
    for _ in range(2):
        model.append(nn.Linear(2, 2))
        model[0].register_buffer("late", torch.zeros(1))
        snapshot.restore()
        assert len(model) == 1
        assert [name for name, _ in model.named_buffers()] == []
