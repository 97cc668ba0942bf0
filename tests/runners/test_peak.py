"""The operations of a step are those of its products, and the speed is a plain product's."""

from __future__ import annotations

import torch
from torch import nn

from runners.peak import REPEATS, SIDES, product_speed, step_operations


def test_operations_are_counted_by_hand_and_freezing_a_layer_saves_its_weight_gradient() -> None:
    first, last, rows = nn.Linear(8, 16, bias=False), nn.Linear(16, 4, bias=False), torch.ones(10, 8)

    def step() -> None:
        last(first(rows)).sum().backward()

    forward, weights, inner = 2 * 10 * (8 * 16 + 16 * 4), 2 * 10 * (8 * 16 + 16 * 4), 2 * 10 * 16 * 4
    assert step_operations(step) == forward + weights + inner
    last.weight.requires_grad_(False)
    assert step_operations(step) == forward + 2 * 10 * 8 * 16 + inner


def test_the_speed_is_that_of_the_fastest_product() -> None:
    readings = iter([0.0, 2.0, 10.0, 11.0, 20.0, 23.0, 30.0, 34.0, 40.0, 42.0])
    assert REPEATS == 5
    assert product_speed("cpu", False, lambda: next(readings)) == 2 * SIDES["cpu"] ** 3
    assert product_speed("cpu", False) > 1e9
