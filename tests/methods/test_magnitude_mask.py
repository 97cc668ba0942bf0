"""Magnitude masking trains exactly the largest or smallest weights of all targets together."""

from __future__ import annotations

import pytest
import torch

from methods.magnitude_mask import MagnitudeMask
from tests.methods.attaching import attach, backbone


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "resnet"])
@pytest.mark.parametrize("order", ["largest", "smallest"])
def test_the_support_is_that_of_a_full_sort(order: str, architecture: str) -> None:
    started = attach("magnitude_mask", backbone(architecture), count=777, order=order)
    assert isinstance(started.method, MagnitudeMask)
    tensors = started.plan.targets.tensors
    sizes = torch.cat([p.detach().abs().flatten() for p in tensors.values()])
    ranked = torch.argsort(sizes, descending=order == "largest", stable=True)[:777]
    starts = dict(
        zip(tensors, torch.tensor([0, *(p.numel() for p in tensors.values())]).cumsum(0).tolist(), strict=False)
    )
    chosen = [i + starts[name] for name, indices in started.method.part.indices.items() for i in indices.tolist()]
    assert sorted(chosen) == sorted(ranked.tolist())
