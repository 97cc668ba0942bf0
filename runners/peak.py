"""Peak: what a device's own matrix products allow, and how many operations a step's products are."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

SIDES = {"cpu": 1024, "cuda": 8192}
"""Sides of the square matrices that are multiplied: large enough that nothing but the product counts."""
REPEATS = 5


def step_operations(step: Callable[[], object]) -> int:
    """Take a step; return the floating-point operations of its matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def product_speed(device: str, halved: bool, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the floating-point operations per second of the fastest of a few square products.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        halved: multiply in bf16, as a backbone with such weights does; else in fp32.
        clock: seconds.
    """
    side = SIDES[device.partition(":")[0]]
    one, other = torch.randn(2, side, side, device=device, dtype=torch.bfloat16 if halved else torch.float32)
    seconds = []
    for _ in range(REPEATS):
        _wait(device)
        began = clock()
        one @ other
        _wait(device)
        seconds.append(clock() - began)
    return 2 * side**3 / min(seconds)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
