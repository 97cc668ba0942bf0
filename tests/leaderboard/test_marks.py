"""Scales, ticks, and the marks that tell series apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.marks import (
    HEIGHT,
    SHAPE_PATHS,
    WIDTH,
    Drawing,
    Frame,
    Point,
    Quoted,
    Reached,
    Series,
    frame_of,
    ticks,
)


def drawing(points: tuple[Point, ...], quoted: tuple[Quoted, ...] = (), top: float | None = 100.0) -> Drawing:
    series = Series("one", 0, points)
    return Drawing("title", "x", "y", (series,), tuple(point.x for point in points), top, quoted=quoted)


def test_pixels_and_values_are_inverse() -> None:
    frame = Frame(1e3, 1e6, 40.0, 90.0)
    assert frame.pixels(1e3, 90.0) == (0, 0)
    assert frame.pixels(1e6, 40.0) == pytest.approx((WIDTH, HEIGHT))
    assert frame.values(*frame.pixels(2e4, 55.0)) == pytest.approx((2e4, 55.0))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((900, 2e6), [1e3, 1e4, 1e5, 1e6]), ((900, 3e4), [1e3, 2e3, 5e3, 1e4, 2e4]), ((12, 70), [20, 50])],
)
def test_ticks_are_round(ends: tuple[float, float], expected: list[float]) -> None:
    assert ticks(*ends) == pytest.approx(expected)


PLAIN_POINT = Point(1e4, 50.0, 45.0, 55.0, False, False)


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        (drawing((PLAIN_POINT,)), ()),
        (drawing((PLAIN_POINT._replace(hollow=True),)), ("hollow",)),
        (drawing((PLAIN_POINT._replace(items_only=True),)), ("dashed",)),
        (drawing((PLAIN_POINT._replace(items_only=True, low=None, high=None),)), ()),
        (drawing((PLAIN_POINT,), (Quoted("paper", None, 1e4, 60.0),)), ("quoted",)),
        (drawing((PLAIN_POINT,))._replace(band=(Reached(1e4, 50.0, 45.0, 55.0),)), ("band",)),
        (drawing((PLAIN_POINT,))._replace(levels=(Series("full", 1, (PLAIN_POINT,)),)), ("level",)),
        (drawing((PLAIN_POINT,))._replace(levels=(Series("full", 1, ()),)), ()),
        (Drawing("t", "x", "y", (Series("base", 0, (PLAIN_POINT._replace(hollow=True),), reference=True),)), ()),
    ],
)
def test_a_drawing_names_the_marks_that_a_key_explains(changed: Drawing, kinds: tuple[str, ...]) -> None:
    assert changed.kinds == kinds


@given(st.floats(1, 1e9), st.floats(1.5, 1e6))
def test_ticks_lie_within_their_ends(low: float, factor: float) -> None:
    assert all(low <= tick <= low * factor for tick in ticks(low, low * factor))


def test_56_methods_differ_in_colour_or_shape() -> None:
    looks = {(one.colour, one.shape) for one in (Series("x", number, ()) for number in range(56))}
    assert len(looks) == 56
    assert {shape for _, shape in looks} == set(SHAPE_PATHS)


def test_curves_of_one_method_share_its_colour_and_differ_in_shape() -> None:
    looks = [Series("x", 11, (), variant=variant) for variant in range(7)]
    assert {one.colour for one in looks} == {looks[0].colour}
    assert len({one.shape for one in looks}) == 7


@given(
    st.lists(
        st.tuples(st.floats(1, 1e8), st.floats(0, 100), st.floats(0, 30), st.booleans()), min_size=1, max_size=6
    )
)  # fmt: skip
def test_a_frame_holds_every_mark_and_bar(rows: list[tuple[float, float, float, bool]]) -> None:
    points = tuple(Point(x, y, y - half, y + half, False, False) if bar else Point(x, y, None, None, False, False)
                   for x, y, half, bar in rows)  # fmt: skip
    frame = frame_of(drawing(points))
    assert frame.x_low < frame.x_high
    assert frame.y_low < frame.y_high
    for point in points:
        heights = [value for value in (point.y, point.low, point.high) if value is not None]
        assert frame.x_low < point.x < frame.x_high
        assert frame.y_low <= min(heights) <= max(heights) <= frame.y_high


def test_a_frame_holds_what_papers_report() -> None:
    frame = frame_of(drawing((Point(1e4, 50, None, None, False, False),), (Quoted("far", None, 1e8, 91),)))
    assert frame.x_high > 1e8
    assert frame.y_high > 91
