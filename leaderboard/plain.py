"""Drawings from a template of our own: what a site with very many figures draws after the first ones.

It draws the rows of the same specification to the same scales, so that both drawings show the same; what Altair adds
is finer ticks.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from leaderboard.chart import FAINT, GROUND, INK, INNER_RING, RING, Row, Specification
from leaderboard.marks import HEIGHT, WIDTH, Frame

SYMBOLS = {
    "circle": "M4.6 0a4.6 4.6 0 1 1-9.2 0a4.6 4.6 0 1 1 9.2 0z",
    "square": "M-4.6-4.6h9.2v9.2h-9.2z",
    "triangle-up": "M0-4.6l5.2 9.2h-10.4z",
    "diamond": "M0-5.6l4.4 5.6l-4.4 5.6l-4.4-5.6z",
    "cross": "M-1.8-5.4h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6v-3.6h3.6z",
    "triangle-down": "M0 4.6l5.2-9.2h-10.4z",
    "triangle-right": "M4.6 0l-9.2 5.2v-10.4z",
}
"""The marks around their middle."""
LEFT, TOP, RIGHT, BOTTOM = 39, 28, 10, 41
"""Room around the marks, in pixels."""


def drawn(specification: Specification) -> str:
    """Return a drawing with marker colours, as ``leaderboard.svg.drawn`` does."""
    axes = specification["layer"][0]["encoding"]
    frame = Frame(*axes["x"]["scale"]["domain"], *axes["y"]["scale"]["domain"])
    parts = [*_axes(axes, frame)]
    rows: Mapping[str, Sequence[Row]] = specification["datasets"]
    for name, draw in _LAYERS.items():
        parts += draw(rows.get(name, ()), frame)
    box = f"0 0 {LEFT + WIDTH + RIGHT} {TOP + HEIGHT + BOTTOM}"
    return f'<svg viewBox="{box}"><g fill="none" transform="translate({LEFT},{TOP})">{"".join(parts)}</g></svg>'


def _at(frame: Frame, x: float, y: float) -> tuple[str, str]:
    across, down = frame.pixels(max(x, frame.x_low), y)
    return _place(across), _place(down)


def _place(pixels: float) -> str:
    return f"{pixels:.1f}".removesuffix(".0")


def _text(x: object, y: object, text: str, anchor: str, colour: str, weight: str = "") -> str:
    look = f'text-anchor="{anchor}" font-size="11px"{weight} fill="{colour}"'
    return f'<text x="{x}" y="{y}" {look}>{html.escape(text)}</text>'


def _axes(axes: Mapping[str, Any], frame: Frame) -> Iterator[str]:  # Any: Vega-Lite's own tree
    for value in heights(frame.y_low, frame.y_high):
        y = _at(frame, frame.x_low, value)[1]
        yield f'<path d="M0 {y}h{WIDTH}" stroke="{FAINT}" stroke-opacity="0.55"/>'
        yield _text(-6, float(y) + 4, f"{value:.6g}", "end", INK)
    yield f'<path d="M0 {HEIGHT}h{WIDTH}" stroke="{FAINT}"/>'
    small = axes["x"]["axis"]["format"] == "~e"
    for value in axes["x"]["axis"]["values"]:
        x = _at(frame, value, frame.y_low)[0]
        yield f'<path d="M{x} {HEIGHT}v4" stroke="{FAINT}"/>'
        yield _text(x, HEIGHT + 17, power(value) if small else short(value), "middle", INK)
    yield _text(WIDTH / 2, HEIGHT + 36, axes["x"]["title"], "middle", INK)
    yield _text(-34, -14, axes["y"]["title"], "start", INK)


def heights(low: float, high: float) -> list[float]:
    """Return about five round heights between two ends."""
    rough = (high - low) / 5
    power_of_ten = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power_of_ten for factor in (1, 2, 5, 10) if factor * power_of_ten >= rough * 0.99)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def short(value: float) -> str:
    """Return a count as axes write it: 20k, 1M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.6g}{letter}"
    return f"{value:.6g}"


def power(value: float) -> str:
    """Return a small number as axes write it: 2e-4."""
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _band(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    rows = list(rows)
    if rows:
        outline = [*_stairs(rows, "high", frame), *reversed(_stairs(rows, "low", frame))]
        yield f'<path d="M{"L".join(outline)}z" fill="{INK}" opacity="0.1"/>'
        yield f'<path d="M{"L".join(_stairs(rows, "y", frame))}" stroke="{INK}" opacity="0.45"/>'


def _stairs(rows: Sequence[Row], field: str, frame: Frame) -> list[str]:
    found: list[str] = []
    for number, row in enumerate(rows):
        x, y = _at(frame, row["x"], row[field])
        if number:
            found.append(f"{x} {_at(frame, row['x'], rows[number - 1][field])[1]}")
        found.append(f"{x} {y}")
    return found


def _references(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    for row in rows:
        (_, high), (_, low), (_, y) = (_at(frame, row["x"], row[field]) for field in ("high", "low", "y"))
        yield f'<path d="M0 {high}H{WIDTH}V{low}H0z" fill="{row["colour"]}" opacity="0.09"/>'
        yield f'<path d="M0 {y}h{WIDTH}" stroke="{row["colour"]}" stroke-width="1.5" stroke-dasharray="5,3"/>'


def _levels(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    for row in rows:
        y = _at(frame, row["x"], row["y"])[1]
        yield f'<path d="M0 {y}h{WIDTH}" stroke="{row["colour"]}" stroke-width="1.2" stroke-dasharray="1,3"/>'


def _lines(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    for _, group in groupby(rows, key=lambda row: row["name"]):
        points = sorted(group, key=lambda row: row["x"])
        path = "L".join(" ".join(_at(frame, row["x"], row["y"])) for row in points)
        yield f'<path d="M{path}" stroke="{points[0]["colour"]}" stroke-width="1.5" opacity="0.75"/>'


def _bars(dashes: str) -> Callable[[Iterable[Row], Frame], Iterator[str]]:
    def draw(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
        for row in rows:
            (x, high), (_, low) = (_at(frame, row["x"], row[field]) for field in ("high", "low"))
            yield f'<path d="M{x} {high}V{low}" stroke="{row["colour"]}" stroke-width="1.6"{dashes}/>'

    return draw


def _rings(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    for row in rows:
        x, y = _at(frame, row["x"], row["y"])
        for area, fill in ((RING, "none"), (INNER_RING, GROUND)):
            radius = math.sqrt(area / math.pi)
            yield f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{fill}" stroke="{row["colour"]}"/>'


def _marks(hollow: bool) -> Callable[[Iterable[Row], Frame], Iterator[str]]:
    def draw(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
        for row in rows:
            x, y = _at(frame, row["x"], row["y"])
            fill, stroke = (GROUND, row["colour"]) if hollow else (row["colour"], GROUND)
            look = f'fill="{fill}" stroke="{stroke}" stroke-width="1.2"'
            yield f'<path transform="translate({x},{y})" d="{SYMBOLS[row["shape"]]}" {look}/>'

    return draw


def _texts(rows: Iterable[Row], frame: Frame) -> Iterator[str]:
    for row in rows:
        x, y = _at(frame, row["x"], row["y"])
        yield _text(x, float(y) + 3, row["text"], "middle", row["colour"], ' font-weight="500"')


_LAYERS: dict[str, Callable[[Sequence[Row], Frame], Iterator[str]]] = {
    "band": _band,
    "references": _references,
    "levels": _levels,
    "lines": _lines,
    "bars": _bars(""),
    "dashed": _bars(' stroke-dasharray="2,2"'),
    "quoted": _rings,
    "filled": _marks(False),
    "hollow": _marks(True),
    "texts": _texts,
}
"""What is drawn later lies over what is drawn first, as in ``leaderboard.chart``."""
