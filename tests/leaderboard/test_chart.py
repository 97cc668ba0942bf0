"""The drawing: static, self-contained, in the page's colours, the same every time."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from leaderboard.chart import draw
from leaderboard.marks import Point, Series

CURVE = Series("lora", 0, (Point(1e4, 78, 75, 81, False, False), Point(1e5, 80, 77, 83, False, False)))
SINGLE = Series("bitfit", 1, (Point(5e4, 70, 62, 78, True, True),))
LINE = Series("head_only", 2, (Point(0, 60, 57, 63, False, False),), True)
SIZES = [1e4, 1e5]


def test_a_drawing_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    svg = draw([CURVE, SINGLE, LINE], SIZES, "accuracy, %", "what it shows", 100.0)
    ElementTree.fromstring(svg.replace("xlink:", ""))
    assert svg.startswith('<svg role="img" aria-label="what it shows" viewBox=')
    assert "#0a0b" not in svg
    assert {f"--series-{number}" for number in (1, 2, 3)} <= set(re.findall(r"var\((--[a-z0-9-]+)\)", svg))
    assert not re.search(r"\bid=|url\(|<script|<image|href", svg)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"lora", "bitfit", "head_only", "accuracy, %", "trained parameters (log scale)", "10k", "100k"} <= set(texts)


def test_one_seed_is_dashed_and_only_it() -> None:
    whole = draw([CURVE], SIZES, "x", "d")
    single = draw([CURVE, SINGLE], SIZES, "x", "d")
    assert 'stroke-dasharray="2,2"' not in whole
    assert single.count('stroke-dasharray="2,2"') == 1


def test_the_same_chart_is_the_same_text() -> None:
    assert draw([CURVE, LINE], SIZES, "x", "d") == draw([CURVE, LINE], SIZES, "x", "d")


def test_names_and_descriptions_are_escaped() -> None:
    svg = draw([CURVE._replace(name="<b>&")], SIZES, "<i>", '"><script>')
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<script>" not in svg


def test_nothing_to_draw_is_no_drawing_and_lines_alone_are_one() -> None:
    assert draw([CURVE._replace(points=())], SIZES, "x", "d") == ""
    assert "head_only" in draw([LINE], [], "x", "d")


def test_equal_values_and_missing_bars_can_be_drawn() -> None:
    flat = Series("flat", 0, (Point(10.0, 0.0, None, None, False, False),))
    assert "flat" in draw([flat], [10.0], "x", "d")
