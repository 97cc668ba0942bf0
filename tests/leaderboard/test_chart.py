"""What a chart is made of: a specification that Altair's own schema accepts, with a layer for each kind of mark."""

from __future__ import annotations

from typing import Any

import altair as alt

from leaderboard.chart import Specification, specification
from leaderboard.marks import Drawing, Point, Quoted, Reached, Series

CURVE = Series("lora", 0, (Point(1e4, 78, 75, 81, False, False), Point(1e5, 80, 77, 83, False, False)))
SINGLE = Series("bitfit", 1, (Point(5e4, 70, 62, 78, True, True),))
LINE = Series("head_only", 2, (Point(0, 60, 57, 63, False, False),), True)
FULL = Series("full", 3, (Point(2e7, 81, 79, 83, False, False, (("", "full"), ("Seeds", "3"))),))
BAND = (Reached(0, 60, 57, 63), Reached(1e4, 78, 75, 81), Reached(2e7, 81, 79, 99))
RINGS = (Quoted("LoRA r=8", 1, 3e5, 82), Quoted("FacT", None, 3e4, 79))
SIZES = (1e4, 1e5, 2e7)
EVERYTHING = Drawing("title", "size", "accuracy, %", (CURVE, SINGLE, FULL, LINE), SIZES, 100.0, (FULL,), BAND, RINGS)


def rows(chart: Specification, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["datasets"].get(name, [])
    return found


def test_a_full_specification_is_valid_and_holds_every_kind_of_mark() -> None:
    chart = specification(EVERYTHING)
    assert alt.LayerChart.from_dict(chart).to_dict(validate=True)["layer"]
    assert set(chart["datasets"]) == {
        "corner", "band", "references", "levels", "lines", "bars", "dashed", "quoted", "filled", "hollow", "texts",
    }  # fmt: skip
    assert {layer["data"]["name"] for layer in chart["layer"]} == set(chart["datasets"])


def test_only_one_seed_is_dashed_and_only_what_is_not_compared_is_hollow() -> None:
    chart = specification(EVERYTHING)
    assert [row["name"] for row in rows(chart, "dashed")] == ["bitfit"]
    assert [row["name"] for row in rows(chart, "hollow")] == ["bitfit"]
    assert [row["name"] for row in rows(chart, "bars")] == ["lora", "lora", "full"]
    assert [row["name"] for row in rows(chart, "filled")] == ["lora", "lora", "full"]


def test_a_single_point_is_no_line_and_zero_is_a_line_through_the_chart() -> None:
    chart = specification(EVERYTHING)
    assert {row["name"] for row in rows(chart, "lines")} == {"lora"}
    ((reference,), (level,)) = rows(chart, "references"), rows(chart, "levels")
    assert (reference["name"], reference["y"]) == ("head_only", 60)
    assert (level["name"], level["y"]) == ("full", 81)
    assert (
        (reference["x"], reference["x2"])
        == (level["x"], level["x2"])
        == tuple(chart["layer"][0]["encoding"]["x"]["scale"]["domain"])
    )


def test_the_band_runs_from_edge_to_edge_and_stays_inside() -> None:
    chart = specification(EVERYTHING)
    x_low, x_high = chart["layer"][0]["encoding"]["x"]["scale"]["domain"]
    _, y_high = chart["layer"][0]["encoding"]["y"]["scale"]["domain"]
    band = rows(chart, "band")
    assert [row["x"] for row in band] == [x_low, 1e4, 2e7, x_high]
    assert band[-1]["y"] == band[-2]["y"] == 81
    assert max(row["high"] for row in band) == y_high < 99


def test_a_series_without_room_for_its_name_has_no_label() -> None:
    crowd = tuple(Series(f"method_{n}", n, (Point(1e4, 70 + n / 100, None, None, False, False),)) for n in range(40))
    labels = rows(specification(Drawing("t", "x", "y", crowd, (1e4,))), "texts")
    assert 0 < len(labels) < 40


def test_one_chart_does_not_change_the_next() -> None:
    first = specification(EVERYTHING)
    specification(Drawing("t", "x", "y", (LINE,)))
    assert specification(EVERYTHING) == first


def test_equal_values_and_missing_bars_have_a_scale() -> None:
    flat = Series("flat", 0, (Point(10.0, 0.0, None, None, False, False),))
    low, high = specification(Drawing("t", "x", "y", (flat,), (10.0,)))["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < 0 < high
