"""The schedule warms up and falls as named, and the optimiser's state follows the scalars that it is of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.spec import Training
from runners.course import carry, schedule_of


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def rates(steps: int, **training: Any) -> list[float]:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = schedule_of(optimizer, Training.model_validate(training), steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_schedules_warm_up_and_fall_as_named() -> None:
    assert rates(6, schedule="constant", warmup=0.0) == [1.0] * 6
    assert rates(5, schedule="constant", warmup=0.4) == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert rates(6, schedule="linear", warmup=0.3) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25])
    assert rates(4, schedule="cosine", warmup=0.0) == pytest.approx(
        [1, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0.5 - 0.5 * math.cos(math.pi / 4)]
    )


@given(steps=st.integers(1, 50), warmup=st.floats(0, 0.999), schedule=st.sampled_from(["constant", "linear", "cosine"]))
def test_some_step_has_a_rate_however_short_the_run(steps: int, warmup: float, schedule: str) -> None:
    assert max(rates(steps, schedule=schedule, warmup=warmup)) > 0


def test_carried_moments_follow_their_scalars_and_new_ones_start_at_zero() -> None:
    parameter, other = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter, other], lr=0.1)
    for gradient in (torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 0.0, 0.0, -1.0])):
        parameter.grad, other.grad = gradient, torch.ones(2)
        optimizer.step()
    before = {key: tensor.clone() for key, tensor in optimizer.state[parameter].items()}
    kept = {key: tensor.clone() for key, tensor in optimizer.state[other].items()}
    parameter.data = torch.zeros(3)
    carry(optimizer, {"values": parameter, "other": other}, {"values": torch.tensor([3, -1, 0])})
    after = optimizer.state[parameter]
    for key in ("exp_avg", "exp_avg_sq"):
        assert after[key].tolist() == [before[key][3].item(), 0.0, before[key][0].item()]
    assert after["step"].item() == before["step"].item() == 2
    assert same(dict(optimizer.state[other]), kept)
    parameter.grad = torch.ones(3)
    optimizer.step()
