"""Gradient masking trains the scalars whose summed gradient is largest."""

from __future__ import annotations

import torch
from torch.nn import functional

from methods.gradient_mask import GradientMask
from runners.specimen import start
from tests.methods.attaching import attach, backbone


def test_the_support_is_that_of_the_whole_sets_gradient() -> None:
    started = start("gradient_mask", backbone("bert"), rows=20, values={"count": 300})
    assert isinstance(started.method, GradientMask)
    plain = backbone("bert")
    plain.model.load_state_dict(started.model.state_dict())
    tensors = {name: plain.model.get_parameter(name) for name in started.plan.targets.tensors}
    logits = plain.model(**{key: value for key, value in started.batch.items() if key != "labels"}).logits
    functional.cross_entropy(logits, started.batch["labels"], reduction="sum").backward()  # type: ignore[no-untyped-call]
    summed = torch.cat([p.grad.abs().flatten() for p in tensors.values() if p.grad is not None])
    chosen = torch.zeros_like(summed, dtype=torch.bool)
    offset = 0
    for name, parameter in tensors.items():
        chosen[offset + started.method.part.indices[name]] = True
        offset += parameter.numel()
    assert int(chosen.sum()) == 300
    # Sums in another order differ in the last bits, so ranks next to the boundary may too.
    assert float(summed[chosen].min()) >= float(summed[~chosen].max()) * (1 - 1e-4)


def test_more_samples_than_rows_are_all_and_said_so() -> None:
    started = attach("gradient_mask", backbone("bert"), count=10, samples=9)
    assert started.method.notes() == ("9 samples were asked for, the training set has 4: all were scored",)
    assert attach("gradient_mask", backbone("bert"), count=10, samples=4).method.notes() == ()
