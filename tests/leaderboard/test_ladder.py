"""Budget curves: areas by the trapezoid in log-parameters, and where a curve comes near full fine-tuning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from leaderboard.ladder import area_difference, area_weights, budget_curve, first_crossing, reach
from leaderboard.panel import Panel
from tests.leaderboard.simulated import answers, panel

LADDER = {"e1": 1e2, "e2": 1e3, "e3": 1e5}
"""e0 trains nothing and e4 everything."""


def made(levels: list[float] | None = None, seeds: int = 3, items: int = 400, spread: float = 0.1) -> Panel:
    levels = levels or [-2.0, -1.0, 0.5, 2.0, 2.4]
    return panel(answers(np.random.default_rng(12), 1, levels, (seeds, items), [spread] * len(levels))[0])


def test_area_is_the_trapezoid_over_log_parameters() -> None:
    found = made()
    curve = budget_curve(found, LADDER)
    low, middle, high = found.means[1:4]
    expected = ((low + middle) / 2 * 1 + (middle + high) / 2 * 2) / 3  # one decade, then two
    assert curve.area is not None
    assert curve.area.estimate == pytest.approx(expected)
    assert curve.area.low is not None
    assert curve.area.high is not None
    assert curve.area.low < expected < curve.area.high
    assert (curve.floor.size, curve.ceiling.size) == (1e2, 1e5)
    assert (curve.floor.score.estimate, curve.ceiling.score.estimate) == pytest.approx((low, high))


def test_one_budget_has_ends_and_no_area() -> None:
    curve = budget_curve(made(), {"e1": 50.0})
    assert curve.area is None
    assert curve.floor == curve.ceiling


@given(
    st.lists(st.floats(0, 20), min_size=2, max_size=6, unique_by=lambda value: round(value, 2)),
    st.floats(0, 0.45),
    st.floats(0.55, 1),
)
def test_area_weights_integrate_straight_pieces_exactly(logs: list[float], start: float, end: float) -> None:
    points = np.array(sorted(logs))
    low, high = points[0] + start * np.ptp(points), points[0] + end * np.ptp(points)
    weights = area_weights(points, low, high)
    assert weights.sum() == pytest.approx(1)
    assert weights @ points == pytest.approx((low + high) / 2)  # a straight line has its height in the middle
    heights = np.cos(points)
    fine = np.linspace(low, high, 20_001)
    assert weights @ heights == pytest.approx(np.interp(fine, points, heights).mean(), abs=1e-3)


def test_curves_are_compared_where_both_exist() -> None:
    found = made()
    other = area_difference(found, {"e1": 1e2, "e2": 1e4}, {"e3": 1e3, "e4": 1e5})
    assert other is not None
    assert (other.floor, other.ceiling) == pytest.approx((1e3, 1e4))
    half_way = (found.means[1] + found.means[2]) / 2
    expected = (half_way + found.means[2]) / 2 - (found.means[3] + (found.means[3] + found.means[4]) / 2) / 2
    assert other.difference.estimate == pytest.approx(expected)
    assert other.difference.ranks
    assert area_difference(found, {"e1": 1e2, "e2": 1e3}, {"e3": 1e3, "e4": 1e5}) is None
    same = area_difference(found, LADDER, LADDER)
    assert same is not None
    assert same.difference.estimate == pytest.approx(0)


def test_reach_is_interpolated_and_a_share_of_the_gain() -> None:
    found = made()
    zero, _, middle, high, full = found.means
    (half, most) = reach(found, LADDER, "e4", "e0", shares=(0.7, 0.99))
    target = zero + 0.7 * (full - zero)
    assert half.target == pytest.approx(target)
    assert half.size == pytest.approx(10 ** (3 + 2 * (target - middle) / (high - middle)))
    assert half.note == "reached"
    assert half.low is not None
    assert half.high is not None
    assert half.size is not None
    assert half.low < half.size < half.high
    assert half.chance == pytest.approx(1, abs=0.01)
    assert most.size is None
    assert most.note == "not reached"
    assert most.chance is not None
    assert most.chance < 0.5
    assert most.high is None


def test_reach_at_the_smallest_budget_says_so() -> None:
    found = made([0.0, 2.0, 2.0, 2.0, 2.0])
    one = reach(found, LADDER, "e1", 0.5, shares=(0.8,))[0]
    assert one.size == pytest.approx(1e2)
    assert one.low == pytest.approx(1e2)
    assert one.note == "at the smallest budget or below"


def test_lower_scores_may_be_better() -> None:
    units = made().units
    up = reach(panel(units), LADDER, "e4", "e0", shares=(0.7,))[0]
    down = reach(panel(1 - units, higher_is_better=False), LADDER, "e4", "e0", shares=(0.7,))[0]
    assert down.size == pytest.approx(up.size)
    assert up.target is not None
    assert down.target == pytest.approx(1 - up.target)


def test_without_a_gain_of_full_there_is_no_answer() -> None:
    (one, _) = reach(made(), LADDER, "e0", "e4")
    assert one.note == "full fine-tuning is not better than the zero point"
    assert (one.target, one.size, one.low, one.high, one.chance) == (None,) * 5


def test_one_seed_has_a_size_and_no_interval() -> None:
    (one, _) = reach(made(seeds=1), LADDER, "e4", "e0", shares=(0.7, 0.9))
    assert one.size is not None
    assert (one.low, one.high, one.chance) == (None, None, None)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"e1": 0.0, "e2": 5.0}, "different sizes above 0"),
        ({"e1": 5.0, "e2": 5.0}, "different sizes above 0"),
        ({"e9": 5.0}, r"it lacks \['e9'\]"),
        ({}, "a curve needs entries"),
    ],
)
def test_what_is_no_curve_is_refused(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        budget_curve(made(), sizes)


def test_the_first_crossing_by_hand() -> None:
    heights: NDArray[np.float64] = np.array([[0.0, 1.0, 0.5], [0.0, 0.2, 0.4], [0.9, 0.1, 0.2], [0.0, 0.0, 0.9]])
    found = first_crossing(heights, np.array([0.5, 0.5, 0.5, 0.45]), np.array([0.0, 2.0, 4.0]))
    assert found.tolist() == pytest.approx([1.0, np.inf, 0.0, 3.0])
