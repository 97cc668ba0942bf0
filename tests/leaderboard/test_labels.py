"""Labels keep off marks and each other, or are left out."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.labels import LINE, Box, along, around, place, text_width

SPOTS = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200), st.sampled_from(["lora", "random_mask"])), max_size=12)


def box(text: str, spot: tuple[float, float]) -> Box:
    half = text_width(text) / 2
    return Box(spot[0] - half, spot[1] - LINE / 2, spot[0] + half, spot[1] + LINE / 2)


def share_area(one: Box, other: Box) -> bool:
    beside = one.right <= other.left or other.right <= one.left
    return not beside and one.top < other.bottom and other.top < one.bottom


@given(SPOTS)
def test_no_label_covers_a_mark_or_another_label(spots: list[tuple[float, float, str]]) -> None:
    taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y, _ in spots]
    found = place([around(text, x, y) for x, y, text in spots], taken, 300, 200)
    placed = [box(text, spot) for (_, _, text), spot in zip(spots, found, strict=True) if spot]
    assert len(found) == len(spots)
    assert not any(share_area(one, other) for one in placed for other in taken)
    assert not any(share_area(one, other) for one, other in combinations(placed, 2))
    assert all(one.left >= 0 and one.right <= 300 for one in placed)


def test_a_free_point_has_its_label_at_the_right_and_at_the_edge_elsewhere() -> None:
    ((x, y),) = [spot for spot in place([around("lora", 100, 100)], [], 300, 200) if spot]
    assert (x > 100, y) == (True, 100)
    ((x, y),) = [spot for spot in place([around("lora", 295, 100)], [], 300, 200) if spot]
    assert x < 295


def test_without_room_there_is_no_label() -> None:
    assert place([around("lora", 100, 100)], [Box(0, 0, 300, 200)], 300, 200) == [None]


def test_a_line_is_labelled_above_or_below_itself() -> None:
    line = Box(0, 99, 300, 101)
    ((_, y),) = [spot for spot in place([along("base", 300, 100)], [line], 300, 200) if spot]
    assert y != 100
