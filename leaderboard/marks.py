"""What a chart is made of: points, series with their colour and shape, and the scales that place them."""

from __future__ import annotations

import math
from typing import NamedTuple

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


class Point(NamedTuple):
    """One row's mean on the chart, in shown units."""

    x: float
    y: float
    low: float | None
    high: float | None
    items_only: bool
    """One seed: its bar is dashed."""
    hollow: bool
    """Not compared with others: without some seed, stale, superseded, or without items."""
    words: tuple[tuple[str, str], ...] = ()
    """What the interactive chart tells of it, as (name, text) pairs."""


class Series(NamedTuple):
    """A method over its budgets, or a reference line (``size`` 0) with one point."""

    name: str
    number: int
    """Decides the colour: a method's place among those of the site, so that it looks alike on all pages."""
    points: tuple[Point, ...]
    """By trained parameters."""
    reference: bool = False
    variant: int = 0
    """Curves of one method share its colour and differ in shape by this."""

    @property
    def colour(self) -> str:
        """The marker value of its colour."""
        return marker(self.number % NUM_COLOURS)

    @property
    def hue(self) -> int:
        """The number of its colour among the page's, from 1: class and variable ``series-N``."""
        return self.number % NUM_COLOURS + 1

    @property
    def shape(self) -> str:
        """Eight colours and seven shapes meet again only after 56 methods."""
        return SHAPES[(self.number + 3 * self.variant) % len(SHAPES)]


def marker(hue: int) -> str:
    """Return the value that stands in a drawing for a series colour until it is known where the drawing goes."""
    return f"#0a0b{hue:02x}"


class Quoted(NamedTuple):
    """A number that a paper reports, drawn as a double ring."""

    name: str
    hue: int | None
    """Colour of its method where that is among the site's; None draws it in ink."""
    x: float
    y: float
    words: tuple[tuple[str, str], ...] = ()


class Reached(NamedTuple):
    """One step of the frontier band: the best score with no more parameters, and its interval, in shown units."""

    x: float
    y: float
    low: float
    high: float


class Drawing(NamedTuple):
    """Everything that one chart shows."""

    title: str
    """What a screen reader says in place of the drawing."""
    across: str
    """Title of the logarithmic axis."""
    up: str
    """Title of the score axis."""
    series: tuple[Series, ...]
    """Everything with a number, in the order of the key."""
    sizes: tuple[float, ...] = ()
    """What the logarithmic axis must reach, equal for all charts that stand side by side."""
    top: float | None = None
    """The largest possible score."""
    levels: tuple[Series, ...] = ()
    """Series whose last point is drawn as a line through the whole chart too: what training everything reaches."""
    band: tuple[Reached, ...] = ()
    quoted: tuple[Quoted, ...] = ()
    numbers: str = "~s"
    """How the logarithmic axis writes numbers, in d3's notation: ``~s`` gives 10k, ``~e`` gives 1e-3."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(one.points for one in self.series)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its marks that do not explain themselves, by the names that the key beside charts knows."""
        points = [point for one in self.series for point in one.points]
        seen = {
            "hollow": any(point.hollow for one in self.series if not one.reference for point in one.points),
            "dashed": any(point.items_only and point.low is not None for point in points),
            "band": bool(self.band),
            "level": any(one.points for one in self.levels),
            "quoted": bool(self.quoted),
        }
        return tuple(kind for kind, is_seen in seen.items() if is_seen)


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


def frame_of(drawing: Drawing) -> Frame:
    """Return scales that hold every mark and bar of a chart, with a margin."""
    points = [point for one in drawing.series for point in one.points]
    sizes = [*drawing.sizes, *(one.x for one in drawing.quoted)] or [1e3, 1e6]
    heights = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
    heights += [one.y for one in drawing.quoted]
    low, high = min(heights), max(heights)
    margin = 0.09 * (high - low) or 0.05 * abs(high) or 1.0
    # An upper end at the best possible score says that nothing can lie beyond; a mark on it still fits.
    top = drawing.top
    ceiling = high + margin if top is None else min(high + margin, top + 0.02 * (high - low or margin))
    return Frame(min(sizes) / 2.2, max(sizes) * 2.2, low - margin, max(ceiling, high))


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two ends: powers of ten, with 2 and 5 between where those are few."""
    span = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [10.0**power for power in span if low <= 10.0**power <= high]
    if len(powers) > 2:
        return powers
    return [factor * 10.0**power for power in span for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
