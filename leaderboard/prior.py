"""What the entries of a family lend each other about how much seeds vary."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.spread import Matrix


class Prior(NamedTuple):
    """What a family lends each of its entries about how much seeds vary."""

    degrees: float
    """Degrees of freedom that are lent."""
    squares: Matrix
    """[n] the mean square of seeds that goes with them; 0 for entries that no seed moves."""


def prior_of(squares: Matrix, moved: NDArray[np.bool_], free: int) -> Prior:
    """Return what entries can learn from each other about how much seeds vary (moderated variances, Smyth 2004).

    Three seeds leave two degrees of freedom, with which a difference must be 14 standard errors wide to count among
    five entries. Entries of one family are trained alike, so the mean square of an entry's seeds, with ``df = S - 1``,
    is replaced by ``(df MS + df0 MS0) / (df + df0)`` with ``df + df0`` degrees of freedom, where ``MS0`` is the mean
    over the family. ``df0`` follows from how much the entries' mean squares differ. If that is no more than chance
    makes them, it is the largest possible, ``(n - 2) (S - 1)``: what the entries outside a pair know. If it is more,
    ``df0`` falls towards 0, and every entry speaks for itself.

    Args:
        squares: [n] mean squares of the entries' seeds.
        moved: [n] whether any item differs between an entry's seeds; what no seed moves neither lends nor borrows.
        free: S - 1.
    """
    number = int(moved.sum())
    if number < 3 or not squares[moved].any():
        return Prior(0.0, np.zeros_like(squares))
    mean = float(squares[moved].mean())
    # Seeds that agree by luck must not make the family look uneven: below its 1 % quantile a mean square is cut.
    logs = np.log(np.maximum(squares[moved], mean * special.chdtri(free, 0.99) / free))
    # The logarithm of a mean square varies by trigamma(df / 2) from chance alone.
    excess = float(logs.var(ddof=1)) - float(special.polygamma(1, free / 2))
    most = float((number - 2) * free)
    degrees = most if excess <= 0 else min(most, 2 * _inverse_trigamma(excess))
    return Prior(degrees, np.where(moved, mean, 0.0))


def _inverse_trigamma(value: float) -> float:
    """Return where trigamma has a value, by Newton's method on its reciprocal, which is nearly straight."""
    at = 0.5 + 1 / value
    for _ in range(20):
        height = float(special.polygamma(1, at))
        at += height * (1 - height / value) / float(special.polygamma(2, at))
    return at
