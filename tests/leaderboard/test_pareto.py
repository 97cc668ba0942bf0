"""The frontier of points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.pareto import frontier

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
