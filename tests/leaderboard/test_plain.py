"""The template's drawing shows what Altair's shows, at the same places."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from leaderboard import plain, svg
from leaderboard.chart import specification
from leaderboard.marks import SHAPES, Drawing, Point, Series
from tests.leaderboard.test_chart import EVERYTHING


def colours(text: str) -> Counter[str]:
    return Counter(re.findall(r'(?:fill|stroke)="(#0a0b0[0-9a-f])"', text))


def test_both_drawings_use_each_colour_equally_often_and_write_the_same_names() -> None:
    chart = specification(EVERYTHING)
    ours, altair = plain.drawn(chart), svg.drawn(chart)
    ElementTree.fromstring(ours)
    assert colours(ours) == colours(altair)
    names = ("lora", "bitfit", "head_only", "full", "10k", "accuracy, %", "size")
    assert all(f">{name}</text>" in ours for name in names)
    assert not re.search(r"\b(id|style|class)=", svg.inline(ours, "t"))


def test_marks_stand_at_the_same_places() -> None:
    chart = specification(EVERYTHING._replace(levels=(), quoted=()))
    spots = [
        set(re.findall(r'<path transform="translate\(([^)]*)\)"', draw(chart))) for draw in (plain.drawn, svg.drawn)
    ]
    assert len(spots[0]) == 4
    assert spots[0] <= spots[1]


def test_every_shape_can_be_drawn_and_names_are_escaped() -> None:
    points = (Point(10.0, 1.0, None, None, False, False),)
    series = tuple(Series(f"<{number}>", number, points) for number in range(len(SHAPES)))
    text = plain.drawn(specification(Drawing("t", "x", "<i>", series, (10.0,))))
    ElementTree.fromstring(text)
    assert len(set(re.findall(r' d="(M[^"]*z)"', text))) == len(SHAPES)


@pytest.mark.parametrize(
    ("ends", "expected"), [((0, 100), [0, 20, 40, 60, 80, 100]), ((71.2, 73.1), [71.5, 72, 72.5, 73])]
)
def test_heights_are_round(ends: tuple[float, float], expected: list[float]) -> None:
    assert plain.heights(*ends) == pytest.approx(expected)


def test_numbers_of_axes_are_short() -> None:
    assert [plain.short(value) for value in (50, 2000, 1e6, 5e9)] == ["50", "2k", "1M", "5G"]
    assert [plain.power(value) for value in (1e-4, 0.02)] == ["1e-4", "2e-2"]
