"""The chart of one task: score against trained parameters, drawn once to static SVG that follows the page's colours.

Methods that train nothing outside the head have no place on a logarithmic axis: they are horizontal lines. Colours
are written as marker values that become CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import vl_convert

from leaderboard.labels import Box, Wish, along, around, place
from leaderboard.marks import HEIGHT, WIDTH, Frame, Series, frame_of, ticks

INK, FAINT, GROUND = "#0a0be0", "#0a0be1", "#0a0be2"
_VARIABLES = {INK: "--chart-ink", FAINT: "--chart-faint", GROUND: "--ground"}


def draw(
    series: Sequence[Series], sizes: Sequence[float], unit: str, description: str, top: float | None = None
) -> str:
    """Return one chart as an SVG element, or an empty text where there is nothing to draw.

    Args:
        series: everything with a number, in the order of the key.
        sizes: trained parameters that the axis must reach, equal for all charts that stand side by side.
        unit: title of the score axis.
        description: what a screen reader says in place of the drawing.
        top: the largest possible score.
    """
    if not any(one.points for one in series):
        return ""
    frame = frame_of(series, sizes, top)
    curves = [one for one in series if not one.reference]
    lines = [one for one in series if one.reference]
    layers = [*_references(lines, frame), *_curves(curves), _texts(series, frame)]
    across = alt.Scale(type="log", domain=frame[:2], nice=False)
    x = alt.X("x:Q", title="trained parameters (log scale)", scale=across)
    y = alt.Y("y:Q", title=unit, scale=alt.Scale(domain=frame[2:], nice=False, zero=False))
    x = x.axis(values=ticks(frame.x_low, frame.x_high), format="~s")
    axes = _layer([{"x": frame.x_low, "y": frame.y_low}]).mark_point(opacity=0).encode(x=x, y=y)
    chart = alt.layer(axes, *layers).properties(width=WIDTH, height=HEIGHT, background="transparent")
    chart = chart.configure(**_config())
    return _inline(vl_convert.vegalite_to_svg(chart.to_dict()), description)


def _layer(rows: Sequence[dict[str, Any]]) -> alt.Chart:  # Any: numbers and texts
    """Return a chart over its own rows."""
    return alt.Chart(alt.InlineData(values=list(rows)))


def _colour() -> alt.Color:
    return alt.Color("colour:N", scale=None)


def _references(lines: Sequence[Series], frame: Frame) -> list[alt.Chart]:
    rows: list[dict[str, Any]] = []  # Any: numbers and texts
    for one in lines:
        for point in one.points:
            low, high = (point.y if value is None else value for value in (point.low, point.high))
            ends = {"x": frame.x_low, "x2": frame.x_high, "low": low, "high": high, "y": point.y}
            rows.append({**ends, "colour": one.colour})
    if not rows:
        return []
    band = _layer(rows).mark_rect(opacity=0.09).encode(x="x:Q", x2="x2:Q", y="low:Q", y2="high:Q", color=_colour())
    rule = (
        _layer(rows).mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(x="x:Q", x2="x2:Q", y="y:Q", color=_colour())
    )
    return [band, rule]


def _curves(curves: Sequence[Series]) -> list[alt.Chart]:
    layers: list[alt.Chart] = []
    rows = [
        {**point._asdict(), "colour": one.colour, "shape": one.shape, "name": one.name}
        for one in curves
        for point in one.points
    ]
    if any(len(one.points) > 1 for one in curves):
        line = _layer(rows).mark_line(strokeWidth=1.5, opacity=0.75)
        layers.append(line.encode(x="x:Q", y="y:Q", color=_colour(), detail="name:N", order="x:Q"))
    for items_only in (False, True):
        bars = [row for row in rows if row["items_only"] is items_only and row["low"] is not None]
        if bars:
            bar = _layer(bars).mark_rule(strokeWidth=1.6, strokeDash=[2, 2] if items_only else [1, 0])
            layers.append(bar.encode(x="x:Q", y="low:Q", y2="high:Q", color=_colour()))
    for hollow in (False, True):
        marks = [row for row in rows if row["hollow"] is hollow]
        if marks:
            own, ground = "colour:N", alt.value(GROUND)
            fill = ground if hollow else alt.Fill(own, scale=None)
            stroke = alt.Stroke(own, scale=None) if hollow else ground
            point = _layer(marks).mark_point(filled=True, size=85, opacity=1, strokeWidth=1.2)
            layers.append(
                point.encode(x="x:Q", y="y:Q", fill=fill, stroke=stroke, shape=alt.Shape("shape:N", scale=None))
            )
    return layers


def _texts(series: Sequence[Series], frame: Frame) -> alt.Chart:
    """Direct labels where there is room: at the right end of a curve, on a reference line."""
    taken = [box for one in series for box in _obstacles(one, frame)]
    # Curves come first in the order of the key: a reference line has room along all its length.
    shown = [one for one in series if one.points]
    wishes: list[Wish] = []
    for one in shown:
        x, y = frame.pixels(max(one.points[-1].x, frame.x_low), one.points[-1].y)
        wishes.append(along(one.name, WIDTH, y) if one.reference else around(one.name, x, y))
    rows: list[dict[str, Any]] = []  # Any: numbers and texts
    for one, spot in zip(shown, place(wishes, taken, WIDTH, HEIGHT), strict=True):
        if spot is not None:
            x, y = frame.values(*spot)
            rows.append({"x": x, "y": y, "text": one.name, "colour": one.colour})
    texts = _layer(rows).mark_text(fontSize=11, fontWeight=500)
    placed: alt.Chart = texts.encode(x="x:Q", y="y:Q", text="text:N", color=_colour())
    return placed


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


def _inline(svg: str, description: str) -> str:
    """Make a drawing fit to stand in a page: own label, no ids that could meet others, colours as variables."""
    svg = svg[svg.index("<svg") :]
    for marker, variable in _VARIABLES.items():
        svg = svg.replace(marker, f"var({variable})")
    svg = re.sub(r"#0a0b(0[0-9a-f])", lambda found: f"var(--series-{int(found.group(1), 16) + 1})", svg)
    label = html.escape(description)
    return re.sub(
        r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>",
        lambda found: f'<svg role="img" aria-label="{label}" {found[1]}>',
        svg,
        count=1,
    )
