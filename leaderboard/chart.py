"""The chart of one task as a Vega-Lite specification: score against trained parameters, on a logarithmic axis.

Altair builds one empty chart, since building takes longer than drawing; each chart fills in its rows, titles and
scales. Methods that train nothing outside the head have no place on a logarithmic axis: they are horizontal lines.
Colours are marker values that become what the place needs, so that one specification serves light, dark and print.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from leaderboard.labels import Box, Wish, along, around, place
from leaderboard.marks import HEIGHT, WIDTH, Drawing, Frame, Quoted, Series, frame_of, marker, ticks

INK, FAINT, GROUND = "#0a0be0", "#0a0be1", "#0a0be2"
Row = dict[str, Any]  # Any: numbers and texts
Specification = dict[str, Any]  # Any: Vega-Lite's own tree
RING, INNER_RING = 190, 60
"""Areas of the two rings of a reported number, in square pixels."""


def specification(drawing: Drawing) -> Specification:
    """Return the Vega-Lite specification of a drawing, which must not be empty."""
    frame = frame_of(drawing)
    chart = copy.deepcopy(_empty())
    chart["datasets"] = {name: list(rows) for name, rows in _rows(drawing, frame).items()}
    axes = chart["layer"][0]["encoding"]
    axes["x"]["scale"]["domain"] = list(frame[:2])
    axes["x"]["title"] = drawing.across
    axes["x"]["axis"] = {"values": ticks(frame.x_low, frame.x_high), "format": drawing.numbers}
    axes["y"]["scale"]["domain"] = list(frame[2:])
    axes["y"]["title"] = drawing.up
    # A layer without rows costs time and draws empty groups.
    chart["layer"] = [one for one in chart["layer"] if chart["datasets"][one["data"]["name"]]]
    chart["datasets"] = {name: rows for name, rows in chart["datasets"].items() if rows}
    return chart


@cache
def _empty() -> Specification:
    """Return the chart without rows; what it draws later lies over what it draws first."""
    import altair as alt  # takes half a second, which whoever draws nothing need not wait for

    x = alt.X("x:Q", scale=alt.Scale(type="log", nice=False))
    y = alt.Y("y:Q", scale=alt.Scale(nice=False, zero=False))
    ground = alt.value(GROUND)
    colour = alt.Color("colour:N", scale=None)
    fill, stroke = alt.Fill("colour:N", scale=None), alt.Stroke("colour:N", scale=None)
    own = alt.Shape("shape:N", scale=None)
    across, upright = {"x": "x:Q", "x2": "x2:Q"}, {"y": "low:Q", "y2": "high:Q"}
    spot = {"x": "x:Q", "y": "y:Q"}

    def over(name: str) -> alt.Chart:
        return alt.Chart(alt.NamedData(name))

    def points(name: str, **how: Any) -> alt.Chart:  # Any: properties of a mark
        made: alt.Chart = over(name).mark_point(filled=True, opacity=1, **how)
        return made

    chart = alt.layer(
        over("corner").mark_point(opacity=0).encode(x=x, y=y),
        over("band").mark_area(interpolate="step-after", color=INK, opacity=0.1).encode(x="x:Q", **upright),
        over("band").mark_line(interpolate="step-after", color=INK, strokeWidth=1, opacity=0.45).encode(**spot),
        over("references").mark_rect(opacity=0.09).encode(**across, **upright, color=colour),
        over("references").mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(**across, y="y:Q", color=colour),
        over("levels").mark_rule(strokeDash=[1, 3], strokeWidth=1.2).encode(**across, y="y:Q", color=colour),
        over("lines")
        .mark_line(strokeWidth=1.5, opacity=0.75)
        .encode(**spot, color=colour, detail="name:N", order="x:Q"),
        over("bars").mark_rule(strokeWidth=1.6).encode(x="x:Q", **upright, color=colour),
        over("dashed").mark_rule(strokeWidth=1.6, strokeDash=[2, 2]).encode(x="x:Q", **upright, color=colour),
        points("quoted", shape="circle", size=RING, strokeWidth=1.2, fill="none").encode(**spot, stroke=stroke),
        points("quoted", shape="circle", size=INNER_RING, strokeWidth=1.2).encode(**spot, fill=ground, stroke=stroke),
        points("filled", size=85, strokeWidth=1.2).encode(**spot, fill=fill, stroke=ground, shape=own),
        points("hollow", size=85, strokeWidth=1.2).encode(**spot, fill=ground, stroke=stroke, shape=own),
        over("texts").mark_text(fontSize=11, fontWeight=500).encode(**spot, text="text:N", color=colour),
    )
    chart = chart.properties(width=WIDTH, height=HEIGHT, background="transparent").configure(**_config())
    found: Specification = chart.to_dict()
    return found


def _rows(drawing: Drawing, frame: Frame) -> dict[str, Sequence[Row]]:
    """Return the rows of each layer."""
    curves = [one for one in drawing.series if not one.reference]
    rows: list[Row] = []
    for one in curves:
        look = {"name": one.name, "colour": one.colour, "shape": one.shape}
        rows += [{**look, **_facts(point)} for point in one.points]
    several = {one.name for one in curves if len(one.points) > 1}
    bars = [row for row in rows if row["low"] is not None]
    return {
        "corner": [{"x": frame.x_low, "y": frame.y_low}],
        "band": list(_band(drawing, frame)),
        "references": list(_references(drawing.series, frame)),
        "levels": list(_levels(drawing.levels, frame)),
        "lines": [_only(row, "x", "y", "name", "colour") for row in rows if row["name"] in several],
        "bars": [_only(row, "x", "low", "high", "name", "colour") for row in bars if not row["dashed"]],
        "dashed": [_only(row, "x", "low", "high", "name", "colour") for row in bars if row["dashed"]],
        "quoted": [
            {"x": one.x, "y": one.y, "name": one.name, "colour": _colour_of(one)}
            | ({"words": [list(pair) for pair in one.words]} if one.words else {})
            for one in drawing.quoted
        ],
        "filled": [_mark(row) for row in rows if not row["hollow"]],
        "hollow": [_mark(row) for row in rows if row["hollow"]],
        "texts": list(_texts(drawing, frame)),
    }


def _facts(point: Any) -> Row:  # Any: a Point, seen as its fields
    facts: Row = point._asdict()
    return {**facts, "dashed": facts.pop("items_only"), "words": [list(pair) for pair in point.words]}


def _only(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def _mark(row: Row) -> Row:
    return _only(row, "x", "y", "name", "colour", "shape", *(["words"] if row["words"] else []))


def _band(drawing: Drawing, frame: Frame) -> Iterator[Row]:
    """Yield the steps of the frontier, the last one up to the end of the axis, cut to the chart."""
    for step in drawing.band:
        low, high = max(step.low, frame.y_low), min(step.high, frame.y_high)
        yield {"x": max(step.x, frame.x_low), "y": step.y, "low": low, "high": high}
    if drawing.band:
        last = drawing.band[-1]
        yield {"x": frame.x_high, "y": last.y, "low": max(last.low, frame.y_low), "high": min(last.high, frame.y_high)}


def _references(series: Sequence[Series], frame: Frame) -> Iterator[Row]:
    for one in series:
        for point in one.points if one.reference else ():
            low, high = (point.y if value is None else value for value in (point.low, point.high))
            ends = {"x": frame.x_low, "x2": frame.x_high, "low": low, "high": high, "y": point.y}
            yield {**ends, "name": one.name, "colour": one.colour}


def _levels(levels: Sequence[Series], frame: Frame) -> Iterator[Row]:
    for one in levels:
        for point in one.points[-1:]:
            yield {"x": frame.x_low, "x2": frame.x_high, "y": point.y, "name": one.name, "colour": one.colour}


def _colour_of(one: Quoted) -> str:
    return INK if one.hue is None else marker(one.hue - 1)


def _texts(drawing: Drawing, frame: Frame) -> Iterator[Row]:
    """Yield direct labels where there is room: at the right end of a curve, on a reference line, beside a ring."""
    taken = [box for one in drawing.series for box in _obstacles(one, frame)]
    rings = [frame.pixels(one.x, one.y) for one in drawing.quoted]
    taken += [Box(x - 9, y - 9, x + 9, y + 9) for x, y in rings]
    for one in drawing.levels:
        height = frame.pixels(frame.x_low, one.points[-1].y)[1] if one.points else -1.0
        taken.append(Box(0, height - 1, WIDTH, height + 1))
    # Curves come first in the order of the key: a reference line has room along all its length.
    looks = [(one.name, one.colour) for one in drawing.series if one.points]
    wishes: list[Wish] = []
    for one in drawing.series:
        if one.points:
            x, y = frame.pixels(max(one.points[-1].x, frame.x_low), one.points[-1].y)
            wishes.append(along(one.name, WIDTH, y) if one.reference else around(one.name, x, y))
    looks += [(one.name, _colour_of(one)) for one in drawing.quoted]
    wishes += [around(one.name, *spot) for one, spot in zip(drawing.quoted, rings, strict=True)]
    for (name, colour), spot in zip(looks, place(wishes, taken, WIDTH, HEIGHT), strict=True):
        if spot is not None:
            x, y = frame.values(*spot)
            yield {"x": x, "y": y, "text": name, "name": name, "colour": colour}


def _obstacles(one: Series, frame: Frame) -> Iterator[Box]:
    """Yield what labels must keep off: marks, bars, and a curve in steps."""
    if one.reference:
        heights = [frame.pixels(frame.x_low, point.y)[1] for point in one.points]
        yield from (Box(0, height - 1, WIDTH, height + 1) for height in heights)
        return
    spots = [frame.pixels(point.x, point.y) for point in one.points]
    yield from (Box(x - 6, y - 6, x + 6, y + 6) for x, y in spots)
    for (x0, y0), (x1, y1) in pairwise(spots):
        for step in range(1, 12):
            x, y = x0 + (x1 - x0) * step / 12, y0 + (y1 - y0) * step / 12
            yield Box(x - 2, y - 2, x + 2, y + 2)
    for point in one.points:
        if point.low is not None and point.high is not None:
            x, upper = frame.pixels(point.x, point.high)
            yield Box(x - 2, upper, x + 2, frame.pixels(point.x, point.low)[1])


def _config() -> dict[str, Any]:  # Any: Vega-Lite's own configuration tree
    axis = {
        "labelColor": INK, "titleColor": INK, "tickColor": FAINT, "domainColor": FAINT, "gridColor": FAINT,
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridOpacity": 0.55, "tickSize": 4,
    }  # fmt: skip
    upright = {
        "titleAngle": 0,
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleX": -34,
        "titleY": -12,
        "tickCount": 5,
    }
    return {
        "aria": False,
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "titlePadding": 8},
        "axisY": {**upright, "domain": False, "ticks": False, "labelPadding": 6, "minExtent": 34, "maxExtent": 34},
        "legend": {"disable": True},
    }
