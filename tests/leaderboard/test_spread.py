"""Variances of the two-way layout: by their mean squares, one matrix or many, and where seeds show no effect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leaderboard.spread import UNSEEN, Matrix, Squares, crossed_spread, mean_squares, verdict_degrees


def squares(seed: float, item: float, noise: float) -> Squares:
    return Squares(np.array(seed), np.array(item), np.array(noise))


@given(arrays(np.float64, (4, 3, 7), elements=st.floats(-10, 10).map(lambda value: round(value, 3))))
def test_mean_squares_add_up_and_many_are_each_alone(values: Matrix) -> None:
    found = mean_squares(values)
    total = ((values - values.mean((1, 2), keepdims=True)) ** 2).sum((1, 2))
    assert 2 * found.seed + 6 * found.item + 12 * found.noise == pytest.approx(total, abs=1e-9)
    for number, one in enumerate(values):
        assert [part[number] for part in found] == pytest.approx(list(mean_squares(one)), abs=1e-9)


def test_a_seed_effect_adds_to_the_items() -> None:
    variance, degrees = crossed_spread(squares(9.0, 4.0, 1.0), 3, 100)
    assert variance == pytest.approx(12 / 300)
    assert degrees == pytest.approx(12**2 / (81 / 2 + 16 / 99 + 1 / 198))


def test_what_is_not_seen_of_seeds_limits_the_degrees_of_freedom() -> None:
    variance, degrees = crossed_spread(squares(0.5, 4.0, 1.0), 3, 1000)
    assert variance == pytest.approx(4 / 3000)
    assert degrees == pytest.approx(max(UNSEEN * 2, 16 / (1 / 2 + 16 / 999 + 1 / 1998)))
    assert crossed_spread(squares(0.5, 4.0, 1.0), 3, 10).degrees == 9
    assert crossed_spread(squares(0.5, 4.0, 1.0), 3, 1000, free_seed=50.0).degrees > degrees


def test_a_verdict_weighs_degrees_of_freedom_by_shares_of_the_variance() -> None:
    degrees = verdict_degrees(squares(9.0, 4.0, 1.0), 100, 2.0)
    assert degrees == pytest.approx(12 / (9 / 2 + 3 / 99))
    assert 2 < degrees < crossed_spread(squares(9.0, 4.0, 1.0), 3, 100).degrees
    assert verdict_degrees(squares(9.0, 0.5, 1.0), 100, 2.0) == pytest.approx(2)


def test_a_verdict_without_a_seed_effect_is_bounded_as_its_interval_is() -> None:
    assert verdict_degrees(squares(0.5, 4.0, 1.0), 1000, 2.0) == pytest.approx(UNSEEN * 2)
    assert verdict_degrees(squares(0.5, 4.0, 1.0), 10, 2.0) == 9


def test_no_spread_at_all_is_no_variance() -> None:
    assert crossed_spread(squares(0.0, 0.0, 0.0), 3, 10).variance == 0
