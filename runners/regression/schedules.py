"""Schedules: the learning rate of every step, for each schedule with and without warm-up."""

from __future__ import annotations

from typing import get_args

import torch
from pydantic import JsonValue

from harness.spec import Training
from runners.course import schedule_of

ABOUT = "Schedule and share of warm-up to the learning rate of each of ten steps, as a share of the largest."
NEEDS: tuple[str, ...] = ()
STEPS = 10
WARMUPS = (0.0, 0.06, 0.3)


def values() -> dict[str, JsonValue]:
    """Return the learning rates of a short training under each schedule."""
    kinds = get_args(Training.model_fields["schedule"].annotation)
    return {f"{kind}, warmup {share}": _rates(kind, share) for kind in kinds for share in WARMUPS}


def _rates(kind: str, warmup: float) -> JsonValue:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    training = Training.model_validate({"schedule": kind, "warmup": warmup, "lr": 1.0})
    schedule = schedule_of(optimizer, training, STEPS)
    rates: list[JsonValue] = []
    for _ in range(STEPS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates
