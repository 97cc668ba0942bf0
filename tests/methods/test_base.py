"""Base trains nothing, not even the head."""

from __future__ import annotations

import torch

from tests.methods.attaching import attach, backbone


def test_nothing_is_trained_and_the_head_is_still_counted_as_there() -> None:
    started = attach("base", backbone("bert"))
    assert started.method.updated() == {}
    assert started.method.state() == {}
    assert sorted(started.method.head()) == ["classifier.bias", "classifier.weight"]
    assert not any(parameter.requires_grad for parameter in started.model.parameters())
    assert started.method.count(started.model, started.plan) == started.method.stored_bits() == 0


def test_its_outputs_depend_on_the_seed_of_the_head_alone() -> None:
    first, again, other = (attach("base", backbone("bert"), seed=seed).outputs() for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
