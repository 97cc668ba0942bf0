"""Budget curves: the score of one method over its budgets, on a log scale of trained parameters.

A curve joins the means at its budgets by straight lines in the logarithm of trained parameters. It is the unit of
comparison between methods: one number per curve, and how many parameters it takes to come near full fine-tuning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from leaderboard.panel import Panel
from leaderboard.spread import Matrix
from leaderboard.statistics import LEVEL, Interval

SHARES = (0.95, 0.99)
"""Of the gain of full fine-tuning."""


class End(NamedTuple):
    """One end of a curve."""

    size: float
    score: Interval


class Curve(NamedTuple):
    """What one method reaches between its smallest and its largest budget."""

    floor: End
    ceiling: End
    area: Interval | None
    """Mean height over log-parameters between the two; None where there is one budget only."""


class Reach(NamedTuple):
    """The smallest budget at which a curve comes near full fine-tuning."""

    share: float
    """Of the gain from the zero point to full fine-tuning."""
    target: float | None
    """The score that is."""
    size: float | None
    """Interpolated on log-parameters; None where the curve does not get there."""
    low: float | None
    high: float | None
    """95 % interval from joint draws; ``low`` is never below the smallest budget tried, ``high`` is None where it may
    lie beyond the largest."""
    chance: float | None
    """Share of the joint draws in which the curve gets there; None with one seed."""
    note: str
    """``reached``, ``at the smallest budget or below``, ``not reached``, or the reason why there is no answer."""


def budget_curve(panel: Panel, sizes: Mapping[str, float]) -> Curve:
    """Return the ends and the area under one method's budget curve.

    The area is the mean height of the curve over log-parameters, ``integral of score d(log size) / (log ceiling - log
    floor)``, so its unit is that of the score. It is a weighted mean of the budgets' scores; its interval treats the
    weighted mean of each item as one score and is that of any mean: seeds and items crossed. Compare the areas of two
    methods with ``area_difference`` only: their curves rarely span the same budgets.

    Args:
        panel: entries of one task, those of the curve among them.
        sizes: the curve's entries to their trained parameters, all above 0 and different.

    Raises:
        ValueError: if an entry is not in the panel, or a size is not above 0 or there twice.
    """
    names, logs = _points(panel, sizes)
    floor, ceiling = (End(sizes[names[at]], panel.combination({names[at]: 1.0})) for at in (0, -1))
    if len(names) == 1:
        return Curve(floor, ceiling, None)
    return Curve(
        floor, ceiling, panel.combination(dict(zip(names, area_weights(logs, logs[0], logs[-1]), strict=True)))
    )


class Overlap(NamedTuple):
    """Two curves compared where both exist."""

    floor: float
    ceiling: float
    difference: Interval
    """Area of the first less area of the second over these budgets, paired."""


def area_difference(panel: Panel, first: Mapping[str, float], second: Mapping[str, float]) -> Overlap | None:
    """Return how much higher one curve runs than another, on the budgets that both span; None where they share none.

    ``integral of (score a - score b) d(log size) / (log ceiling - log floor)`` between the larger floor and the smaller
    ceiling, straight between the budgets that were run; paired on seeds and items like any difference.

    Args:
        panel: entries of one task, those of both curves among them.
        first: entries of curve a to their trained parameters.
        second: those of curve b.
    """
    names_a, logs_a = _points(panel, first)
    names_b, logs_b = _points(panel, second)
    low, high = max(logs_a[0], logs_b[0]), min(logs_a[-1], logs_b[-1])
    if high - low <= 1e-9:
        return None
    weights = dict(zip(names_a, area_weights(logs_a, low, high), strict=True))
    for name, weight in zip(names_b, area_weights(logs_b, low, high), strict=True):
        weights[name] = weights.get(name, 0.0) - weight
    return Overlap(float(np.exp(low)), float(np.exp(high)), panel.combination(weights))


def reach(
    panel: Panel, sizes: Mapping[str, float], full: str, zero: str | float, shares: Sequence[float] = SHARES
) -> tuple[Reach, ...]:
    """Return the smallest budgets at which a curve has 95 % and 99 % of what full fine-tuning gains.

    The target is ``zero + share * (full - zero)``: a share of the gain, since a share of the score itself would depend
    on where a metric has its 0 (half of all answers are right by guessing). The size is where the curve first meets the
    target, straight between budgets in log-parameters. The interval is that of the same computation on the joint
    draws, in which the curve, full fine-tuning and the zero point all move together.

    Args:
        panel: entries of one task: the curve's, ``full``, and ``zero`` where it is an entry.
        sizes: the curve's entries to their trained parameters.
        full: the entry that trains everything.
        zero: the entry that trains nothing (``base``, else ``head_only``), or a score such as chance.
        shares: of the gain.
    """
    names, logs = _points(panel, sizes)
    places = [panel.names.index(name) for name in names]
    top = panel.names.index(full)
    means = panel.sign * panel.means[None]
    bottom = panel.sign * (panel.means[panel.names.index(zero)] if isinstance(zero, str) else zero)
    gain = means[0, top] - bottom
    if gain <= 0:
        note = "full fine-tuning is not better than the zero point"
        return tuple(Reach(share, None, None, None, None, None, note) for share in shares)
    draws = None if panel.draws is None else panel.sign * panel.draws
    found = []
    for share in shares:
        target = bottom + share * gain
        at = float(first_crossing(means[:, places], np.array([target]), logs)[0])
        low, high, chance = None, None, None
        if draws is not None:
            zeros = draws[:, panel.names.index(zero)] if isinstance(zero, str) else np.full(len(draws), bottom)
            targets = zeros + share * (draws[:, top] - zeros)
            low, high, chance = _spread_of(first_crossing(draws[:, places], targets, logs), logs)
        found.append(_reach(share, float(panel.sign * target), at, logs, (low, high, chance)))
    return tuple(found)


def _reach(
    share: float, target: float, at: float, logs: Matrix, spread: tuple[float | None, float | None, float | None]
) -> Reach:
    low, high, chance = spread
    if not np.isfinite(at):
        return Reach(share, target, None, low, high, chance, "not reached")
    note = "at the smallest budget or below" if at <= logs[0] else "reached"
    return Reach(share, target, float(np.exp(at)), low, high, chance, note)


def _spread_of(crossings: Matrix, logs: Matrix) -> tuple[float | None, float | None, float]:
    low, high = np.quantile(crossings, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    chance = float(np.isfinite(crossings).mean())
    return (
        float(np.exp(low)) if np.isfinite(low) else None,
        float(np.exp(high)) if np.isfinite(high) else None,
        chance,
    )


def first_crossing(heights: Matrix, targets: Matrix, logs: Matrix) -> Matrix:
    """Return where piecewise straight curves first reach their targets; infinity where they do not.

    Args:
        heights: [n, num_points] curves.
        targets: [n]
        logs: [num_points] ascending positions.
    """
    there = heights >= targets[:, None]
    first = np.argmax(there, axis=1)
    before, rows = np.maximum(first - 1, 0), np.arange(len(heights))
    rise = heights[rows, first] - heights[rows, before]
    missing = np.clip(targets - heights[rows, before], 0.0, None)
    part = np.divide(missing, rise, out=np.zeros_like(rise), where=(first > 0) & (rise > 0))
    return np.where(there.any(axis=1), logs[before] + part * (logs[first] - logs[before]), np.inf)


def area_weights(logs: Matrix, low: float, high: float) -> Matrix:
    """Return each point's weight in the mean height of a piecewise straight curve between two positions.

    Args:
        logs: [num_points] ascending positions.
        low: where the mean starts, not before the first point.
        high: where it ends, not beyond the last.
    """
    knots = np.unique(np.concatenate([[low, high], logs[(logs > low) & (logs < high)]]))
    # Each point's hat function at the knots, integrated by trapezoids, which is exact for straight pieces.
    hats = np.array([np.interp(knots, logs, one) for one in np.eye(len(logs))])
    return np.asarray(np.trapezoid(hats, knots, axis=1) / (high - low))


def _points(panel: Panel, sizes: Mapping[str, float]) -> tuple[list[str], Matrix]:
    """Return a curve's entries by size, and the logarithms of their sizes."""
    unknown = sorted(sizes.keys() - set(panel.names))
    if unknown or not sizes:
        raise ValueError(f"a curve needs entries of the panel, which has {list(panel.names)}; it lacks {unknown}")
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    if min(sizes.values()) <= 0 or len(set(sizes.values())) < len(sizes):
        raise ValueError(f"a curve needs different sizes above 0, got {sorted(sizes.values())}")
    return names, np.log([sizes[name] for name in names])
