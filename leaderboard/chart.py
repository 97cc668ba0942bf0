"""The chart of one task: score against trained parameters, drawn once to static SVG that follows the page's colours.

Methods that train nothing outside the head have no place on a logarithmic axis: they are horizontal lines. Colours
are written as marker values that become CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from leaderboard.labels import Box, Wish, along, around, place

WIDTH, HEIGHT = 306, 214
SHAPE_PATHS = {
    "circle": "M11 7a4 4 0 1 1-8 0a4 4 0 1 1 8 0z",
    "square": "M3.5 3.5h7v7h-7z",
    "triangle-up": "M7 2.5l4.8 8.5h-9.6z",
    "diamond": "M7 1.8l4.2 5.2l-4.2 5.2l-4.2-5.2z",
    "cross": "M5.3 2.3h3.4v3h3v3.4h-3v3h-3.4v-3h-3v-3.4h3z",
    "triangle-down": "M7 11.5l4.8-8.5h-9.6z",
    "triangle-right": "M11.5 7l-8.5 4.8v-9.6z",
}
"""The charts' shapes in a square of 14 pixels, for the key beside them."""
SHAPES = tuple(SHAPE_PATHS)
NUM_COLOURS = 8
INK, FAINT, GROUND = "#0a0be0", "#0a0be1", "#0a0be2"
_VARIABLES = {INK: "--chart-ink", FAINT: "--chart-faint", GROUND: "--ground"}


class Point(NamedTuple):
    """One row's mean on the chart, in shown units."""

    x: float
    y: float
    low: float | None
    high: float | None
    items_only: bool


class Series(NamedTuple):
    """A method over its budgets, or a reference line (``size`` 0) with one point."""

    name: str
    number: int
    """Decides colour and shape, equal in all charts of a section."""
    points: tuple[Point, ...]
    reference: bool = False

    @property
    def colour(self) -> str:
        """The marker value of its colour."""
        return f"#0a0b{self.number % NUM_COLOURS:02x}"

    @property
    def shape(self) -> str:
        """Eight colours and seven shapes meet again only after 56 series."""
        return SHAPES[self.number % len(SHAPES)]


class Frame(NamedTuple):
    """The scales of one chart."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies, in pixels from the top left corner."""
        across = math.log(x / self.x_low) / math.log(self.x_high / self.x_low)
        return across * WIDTH, (self.y_high - y) / (self.y_high - self.y_low) * HEIGHT

    def values(self, across: float, down: float) -> tuple[float, float]:
        """Return the point at a place in pixels."""
        x = self.x_low * (self.x_high / self.x_low) ** (across / WIDTH)
        return x, self.y_high - down / HEIGHT * (self.y_high - self.y_low)


def draw(series: Sequence[Series], unit: str, description: str, top: float | None = None) -> str:
    """Return one chart as an SVG element, or an empty text where there is nothing to draw.

    Args:
        series: everything with a number, in the order of the key.
        unit: title of the score axis.
        description: what a screen reader says in place of the drawing.
        top: the largest possible score.
    """
    if not any(one.points for one in series):
        return ""
    frame = _frame(series, top)
    curves = [one for one in series if not one.reference]
    lines = [one for one in series if one.reference]
    layers = [*_references(lines, frame), *_curves(curves), _texts(series, frame)]
    x = alt.X("x:Q", title="trained parameters (log scale)", scale=alt.Scale(type="log", domain=frame[:2], nice=False))
    y = alt.Y("y:Q", title=unit, scale=alt.Scale(domain=frame[2:], nice=False, zero=False))
    axes = alt.Chart(alt.Data(values=[{"x": frame.x_low, "y": frame.y_low}])).mark_point(opacity=0).encode(
        x=x.axis(values=ticks(frame.x_low, frame.x_high), format="~s"), y=y
    )
    chart = alt.layer(axes, *layers).properties(width=WIDTH, height=HEIGHT, background="transparent").configure(**_config())
    return _inline(vl_convert.vegalite_to_svg(chart.to_dict()), description)


def _frame(series: Sequence[Series], top: float | None) -> Frame:
    points = [point for one in series for point in one.points]
    sizes = [point.x for one in series if not one.reference for point in one.points] or [1e3, 1e6]
    heights = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
    low, high = min(heights), max(heights)
    margin = 0.09 * (high - low) or 0.05 * abs(high) or 1.0
    # An upper end at the best possible score says that nothing can lie beyond; a mark on it still fits.
    ceiling = high + margin if top is None else min(high + margin, top + 0.02 * (high - low or margin))
    return Frame(min(sizes) / 2.2, max(sizes) * 2.2, low - margin, max(ceiling, high))


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two ends: powers of ten, with 2 and 5 between where those are few."""
    span = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [10.0**power for power in span if low <= 10.0**power <= high]
    if len(powers) > 2:
        return powers
    return [factor * 10.0**power for power in span for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]


def _layer(rows: Sequence[dict[str, Any]]) -> alt.Chart:  # Any: numbers and texts
    return alt.Chart(alt.Data(values=list(rows)))


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
    rule = _layer(rows).mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(x="x:Q", x2="x2:Q", y="y:Q", color=_colour())
    return [band, rule]


def _curves(curves: Sequence[Series]) -> list[alt.Chart]:
    layers: list[alt.Chart] = []
    rows = [
        {**point._asdict(), "colour": one.colour, "shape": one.shape, "name": one.name}
        for one in curves
        for point in sorted(one.points)
    ]
    if any(len(one.points) > 1 for one in curves):
        line = _layer(rows).mark_line(strokeWidth=1.5, opacity=0.75)
        layers.append(line.encode(x="x:Q", y="y:Q", color=_colour(), detail="name:N", order="x:Q"))
    for items_only in (False, True):
        some = [row for row in rows if row["items_only"] is items_only]
        bars = [row for row in some if row["low"] is not None]
        if bars:
            dash = [2, 2] if items_only else [1, 0]
            bar = _layer(bars).mark_rule(strokeWidth=1.6, strokeDash=dash)
            layers.append(bar.encode(x="x:Q", y="low:Q", y2="high:Q", color=_colour()))
        if some:
            shape = alt.Shape("shape:N", scale=None)
            point = _layer(some).mark_point(filled=True, size=62, opacity=1, strokeWidth=1.4)
            fill = alt.value(GROUND) if items_only else alt.Fill("colour:N", scale=None)
            stroke = alt.Stroke("colour:N", scale=None) if items_only else alt.value(GROUND)
            layers.append(point.encode(x="x:Q", y="y:Q", fill=fill, stroke=stroke, shape=shape))
    return layers


def _texts(series: Sequence[Series], frame: Frame) -> alt.Chart:
    """Direct labels where there is room: at the right end of a curve, on a reference line."""
    taken: list[Box] = []
    wishes: list[tuple[Wish, str]] = []
    for one in series:
        spots = [frame.pixels(point.x, point.y) for point in sorted(one.points)] if not one.reference else []
        taken += [Box(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
        for (x0, y0), (x1, y1) in zip(spots, spots[1:], strict=False):
            steps = range(1, 12)
            middles = [(x0 + (x1 - x0) * step / 12, y0 + (y1 - y0) * step / 12) for step in steps]
            taken += [Box(x - 2, y - 2, x + 2, y + 2) for x, y in middles]
        for point in one.points:
            if one.reference:
                height = frame.pixels(frame.x_low, point.y)[1]
                taken.append(Box(0, height - 1, WIDTH, height + 1))
            elif point.low is not None and point.high is not None:
                x, upper = frame.pixels(point.x, point.high)
                taken.append(Box(x - 2, upper, x + 2, frame.pixels(point.x, point.low)[1]))
        if spots:
            wishes.append((around(one.name, *spots[-1]), one.colour))
        elif one.points:
            wishes.append((along(one.name, WIDTH, frame.pixels(frame.x_low, one.points[0].y)[1]), one.colour))
    # The longest reach first would be better still; points first is enough, lines have room along their length.
    wishes.sort(key=lambda wish: len(wish[0].middles))
    spots_found = place([wish for wish, _ in wishes], taken, WIDTH, HEIGHT)
    rows = []
    for (wish, colour), spot in zip(wishes, spots_found, strict=True):
        if spot is not None:
            x, y = frame.values(*spot)
            rows.append({"x": x, "y": y, "text": wish.text, "colour": colour})
    return _layer(rows).mark_text(fontSize=11, fontWeight=600).encode(x="x:Q", y="y:Q", text="text:N", color=_colour())


def _config() -> dict[str, Any]:  # Any: Vega-Lite's own configuration tree
    axis = {
        "labelColor": INK, "titleColor": INK, "tickColor": FAINT, "domainColor": FAINT, "gridColor": FAINT,
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridOpacity": 0.55, "tickSize": 4,
    }  # fmt: skip
    upright = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": -34, "titleY": -12, "tickCount": 5}
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
    return re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", lambda found: f'<svg role="img" aria-label="{label}" {found[1]}>', svg, count=1)
