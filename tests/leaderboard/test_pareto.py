"""The frontier: of points, and how sure a place on it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from leaderboard.pareto import frontier, frontier_band, frontier_chances
from leaderboard.ranking import best_chances
from tests.leaderboard.simulated import answers, panel

POINTS = st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), max_size=12)


def test_a_small_frontier_by_hand() -> None:
    points = [(100.0, 0.8), (10.0, 0.7), (50.0, 0.6), (1000.0, 0.9), (1000.0, 0.85), (2000.0, 0.9)]
    assert frontier(points) == [1, 0, 3]


def test_equal_points_stand_together() -> None:
    assert frontier([(1.0, 0.5), (2.0, 0.7), (2.0, 0.7), (3.0, 0.7)]) == [0, 1, 2]


def test_lower_may_be_better() -> None:
    assert frontier([(1.0, 9.0), (2.0, 9.5), (3.0, 4.0)], higher_is_better=False) == [0, 2]


def test_no_points_have_no_frontier() -> None:
    assert frontier([]) == []


@given(POINTS)
def test_frontier_is_exactly_the_unbeaten(points: list[tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(other[0] <= one[0] and other[1] >= one[1] and other != one for other in points)

    assert sorted(frontier(points)) == [index for index, point in enumerate(points) if not beaten(point)]


def made(levels: list[float], seeds: int = 3) -> NDArray[np.float64]:
    return np.asarray(answers(np.random.default_rng(9), 1, levels, (seeds, 300), [0.1] * len(levels))[0])


def test_the_cheapest_is_on_the_frontier_and_a_clear_loser_is_not() -> None:
    chances = frontier_chances(panel(made([0.0, 2.0, 0.0, 2.0])), {"e0": 10.0, "e1": 100.0, "e2": 200.0, "e3": 300.0})
    assert chances["e0"] == 1
    assert chances["e1"] > 0.99
    assert chances["e2"] < 0.01
    assert 0.1 < chances["e3"] < 0.9


def test_chances_at_one_size_are_those_of_being_the_best_there() -> None:
    found = panel(made([1.0, 1.0, 1.1]))
    chances = frontier_chances(found, dict.fromkeys(found.names, 5.0))
    assert chances == pytest.approx(best_chances(found))


def test_equal_entries_stand_together_on_the_frontier_where_they_cost_the_same() -> None:
    units = made([1.0, 1.0])
    units[1] = units[0]
    assert frontier_chances(panel(units), {"e0": 5.0, "e1": 5.0}) == {"e0": 1.0, "e1": 1.0}
    assert frontier_chances(panel(units), {"e0": 5.0, "e1": 6.0}) == {"e0": 1.0, "e1": 0.0}


def test_the_band_follows_the_best_mean_and_never_falls() -> None:
    found = panel(made([0.0, 1.5, 0.5, 3.0]))
    sizes = {"e0": 10.0, "e1": 100.0, "e2": 100.0, "e3": 1000.0}
    band = frontier_band(found, sizes)
    assert [step.size for step in band] == [10.0, 100.0, 1000.0]
    assert [step.score for step in band] == pytest.approx([found.means[0], found.means[1], found.means[3]])
    for step in band:
        assert step.low < step.score < step.high
    assert all(one.high <= other.high for one, other in itertools.pairwise(band))
    # Up to the first size there is one entry, and the band is its own interval.
    half = stats.t.ppf(0.975, found.spread.degrees[0]) * found.spread.variance[0] ** 0.5
    assert band[0].high - band[0].score == pytest.approx(half)
    assert band[0].score - band[0].low == pytest.approx(half, rel=0.1)


def test_lower_is_better_mirrors_chances_and_band() -> None:
    units = made([0.0, 1.0, 2.0])
    sizes = {"e0": 1.0, "e1": 2.0, "e2": 3.0}
    up, down = panel(units), panel(1 - units, higher_is_better=False)
    assert frontier_chances(down, sizes).keys() == sizes.keys()
    for one, other in zip(frontier_band(up, sizes), frontier_band(down, sizes), strict=True):
        assert other.score == pytest.approx(1 - one.score)
        assert other.low == pytest.approx(1 - one.high, abs=0.005)
        assert other.high == pytest.approx(1 - one.low, abs=0.005)


def test_one_seed_has_no_chances_and_no_band() -> None:
    found = panel(made([0.0, 1.0], seeds=1))
    assert frontier_chances(found, {"e0": 1.0, "e1": 2.0}) == {}
    assert frontier_band(found, {"e0": 1.0, "e1": 2.0}) == ()


def test_entries_without_a_size_take_no_part() -> None:
    assert frontier_chances(panel(made([0.0, 4.0])), {"e0": 5.0}) == {"e0": 1.0}
    assert frontier_chances(panel(made([0.0, 4.0])), {}) == {}
    assert frontier_band(panel(made([0.0, 4.0])), {}) == ()
