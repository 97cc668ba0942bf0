"""The validation curve of one run as points of a polyline, and their drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 300.0, 120.0


class Line(NamedTuple):
    """One quantity over the epochs, broken where it is unknown."""

    name: str
    pieces: tuple[str, ...]
    """Polyline points in pixels."""
    dots: tuple[tuple[str, str], ...]


class Plot(NamedTuple):
    """Lines on one scale."""

    lines: tuple[Line, ...]
    heights: tuple[tuple[str, str], ...]
    """Tick position and label, low to high."""
    epochs: tuple[tuple[str, str], ...]

    @property
    def marks(self) -> Markup:
        """The inside of an SVG element: grid, labels and lines, in one piece, as a page of its own draws each run."""
        parts = [
            f'<path d="M0 {y}h300" class="grid"/><text x="-6" y="{y}" dy="4" text-anchor="end">{label}</text>'
            for y, label in self.heights
        ]
        parts += [f'<text x="{x}" y="138" text-anchor="middle">{label}</text>' for x, label in self.epochs]
        for number, line in enumerate(self.lines):
            pieces = [f'<polyline points="{piece}"/>' for piece in line.pieces]
            dots = [f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in line.dots]
            parts.append(f'<g class="line-{number % 8 + 1}">{"".join(pieces + dots)}</g>')
        return Markup("".join(parts))  # nothing but numbers of our own


def plot(epochs: Sequence[int], quantities: Mapping[str, Sequence[float | None]]) -> Plot | None:
    """Return the lines of some quantities, None where no value is known.

    Args:
        epochs: n epoch numbers, ascending.
        quantities: name to n values.
    """
    known = [value for values in quantities.values() for value in values if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    bottom, top = low - margin, high + margin
    first, span = epochs[0], max(1, epochs[-1] - epochs[0])

    def across(epoch: int) -> float:
        return 12 + (WIDTH - 24) * ((epoch - first) / span if len(epochs) > 1 else 0.5)

    def down(value: float) -> float:
        return HEIGHT * (top - value) / (top - bottom)

    lines = []
    for name, values in quantities.items():
        pieces: list[list[str]] = [[]]
        dots = []
        for epoch, value in zip(epochs, values, strict=True):
            if value is None:
                pieces.append([])
                continue
            x, y = f"{across(epoch):.1f}", f"{down(value):.1f}"
            pieces[-1].append(f"{x},{y}")
            dots.append((x, y))
        if dots:
            lines.append(Line(name, tuple(" ".join(piece) for piece in pieces if len(piece) > 1), tuple(dots)))
    heights = tuple((f"{down(value):.1f}", _tick(value)) for value in sorted({low, high}))
    step = max(1, len(epochs) // 10)
    return Plot(tuple(lines), heights, tuple((f"{across(epoch):.1f}", str(epoch)) for epoch in epochs[::step]))


def _tick(value: float) -> str:
    """Return a value as its axis has room for it: six characters beside the plot; the table has all digits."""
    text = f"{value:.3g}"
    return text if len(text) <= 6 else f"{value:.0e}"
