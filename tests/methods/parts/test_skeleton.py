"""A skeleton tries changes on shapes alone, falls back to values, and leaves the model itself alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.parts.skeleton import Skeleton


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def grow(copied: nn.Module) -> int:
    assert isinstance(copied, nn.Sequential)
    copied.append(nn.Linear(4, 5, device=copied[0].weight.device))
    return sum(parameter.numel() for parameter in copied.parameters())


def test_a_change_is_measured_on_shapes_and_taken_back() -> None:
    plain = model()
    skeleton = Skeleton(plain)
    assert [skeleton.measure(grow) for _ in range(3)] == [12 + 4 + 8 + 25] * 3
    assert skeleton.measure(lambda copied: {p.device.type for p in copied.parameters()}) == {"meta"}
    assert len(plain) == 2


@pytest.mark.parametrize("meta", [False, True])
def test_a_change_that_reads_values_gets_some(meta: bool) -> None:
    plain = model().to("meta") if meta else model()
    found = Skeleton(plain).measure(lambda copied: copied[0].weight.norm().item())  # type: ignore[index]
    assert found > 0
    assert meta or found == pytest.approx(plain[0].weight.norm().item())


def test_an_error_of_the_change_is_its_own_and_no_draw_is_left_behind() -> None:
    plain = model()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(ValueError, match="no such size"):
        Skeleton(plain).measure(lambda copied: refuse())
    Skeleton(plain).measure(lambda copied: float(torch.rand(1)))
    assert torch.equal(torch.rand(2), expected)


def refuse() -> int:
    raise ValueError("no such size")
