"""Where the labels of a chart go: beside their marks, never over another mark or label, or nowhere.

A label that finds no room is left out; the key above the charts names every series.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHARACTER, LINE = 7.2, 13.0
"""Generous size in pixels of one character and one line at the charts' font size."""


class Box(NamedTuple):
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float


class Wish(NamedTuple):
    """A text, and the middles that it may have, the most wanted first."""

    text: str
    middles: tuple[tuple[float, float], ...]


def text_width(text: str) -> float:
    """Return a generous width of a text in pixels."""
    return CHARACTER * len(text)


def around(text: str, x: float, y: float) -> Wish:
    """Wish for a place close to a point: right, above, below, left, then a little farther."""
    beside = text_width(text) / 2 + 8
    near = [(x + beside, y), (x, y - 15), (x, y + 15), (x - beside, y)]
    slanted = [(x + sx * beside, y + sy * 11) for sx in (1, -1) for sy in (-1, 1)]
    far = [(x, y + sy * distance) for distance in (27, 40) for sy in (-1, 1)]
    return Wish(text, tuple(near + slanted + far))


def along(text: str, width: float, y: float) -> Wish:
    """Wish for a place on a horizontal line: above or below it, at its left end, right end, or between."""
    half = text_width(text) / 2 + 3
    across = [half, width - half, width / 2, width / 3, 2 * width / 3]
    return Wish(text, tuple((x, y + dy) for x in across for dy in (-8.0, 9.0)))


def place(
    wishes: Sequence[Wish], taken: Sequence[Box], width: float, height: float
) -> list[tuple[float, float] | None]:
    """Return a middle for each text, or None where every wished place is outside or taken; first come, first served."""
    boxes = np.fromiter(chain.from_iterable(taken), dtype=float).reshape(len(taken), 4)
    chosen: list[tuple[float, float] | None] = []
    for wish in wishes:
        half = text_width(wish.text) / 2
        found = None
        for x, y in wish.middles:
            box = Box(x - half, y - LINE / 2, x + half, y + LINE / 2)
            inside = box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height
            if inside and not _overlaps(box, boxes):
                found = (x, y)
                boxes = np.vstack([boxes, box])
                break
        chosen.append(found)
    return chosen


def _overlaps(box: Box, boxes: NDArray[np.float64]) -> bool:
    """Whether a box shares any area with some of many, which a crowded chart has thousands of."""
    left, top, right, bottom = boxes.T
    return bool(np.any((box.left < right) & (left < box.right) & (box.top < bottom) & (top < box.bottom)))
