"""The frontier of score against trained parameters: of the means, and how sure each place on it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.panel import Panel
from leaderboard.spread import Matrix
from leaderboard.statistics import LEVEL


def frontier(points: Sequence[tuple[float, float]], higher_is_better: bool = True) -> list[int]:
    """Return the indices of the points that no other point beats, by cost and then by position.

    A point is beaten by one that costs no more and scores no worse, and is better in at least one of the two; equal
    points stand or fall together.

    Args:
        points: (trained parameters, score) pairs, all finite.
        higher_is_better: the direction of the score.
    """
    sign = 1.0 if higher_is_better else -1.0
    chosen: list[int] = []
    best = float("-inf")
    by_cost = sorted(range(len(points)), key=lambda index: (points[index][0], -sign * points[index][1], index))
    for index in by_cost:
        score = sign * points[index][1]
        if score > best or (chosen and points[index] == points[chosen[-1]]):
            best = score
            chosen.append(index)
    return chosen


def frontier_chances(panel: Panel, sizes: Mapping[str, float]) -> dict[str, float]:
    """Return the probability of each entry lying on the frontier, had other seeds and items been drawn.

    It is the share of joint draws (``Panel.draws``) in which no entry with as few or fewer trained parameters scores
    better, and none with fewer scores as well. Empty with one seed.

    Args:
        panel: entries of one task.
        sizes: entry to its trained parameters; entries without a size take no part.
    """
    if panel.draws is None:
        return {}
    places, costs = _by_cost(panel, sizes)
    draws = panel.sign * panel.draws[:, places]
    on = np.empty(draws.shape, dtype=bool)
    cheaper = np.full(len(draws), -np.inf)
    for cost in np.unique(costs):
        group = costs == cost
        here = draws[:, group].max(axis=1)
        on[:, group] = draws[:, group] >= np.where(here > cheaper, here, np.inf)[:, None]
        cheaper = np.maximum(cheaper, here)
    return {panel.names[place]: float(share) for place, share in zip(places, on.mean(axis=0), strict=True)}


class Step(NamedTuple):
    """What can be reached with so many trained parameters."""

    size: float
    score: float
    """The best mean among the entries that train no more."""
    low: float
    high: float
    """95 % interval of the best true score among them."""


def frontier_band(panel: Panel, sizes: Mapping[str, float]) -> tuple[Step, ...]:
    """Return at each size the best score reached with no more parameters, and its 95 % interval.

    The best of several means is too high on average, as luck helps to be the best; so the lower end is
    ``max(mean - c error)`` over the entries up to that size, where ``c`` is the 97.5 % quantile of the largest
    standardised deviation among them in the joint draws, and holds for all of them at once. The upper end is the
    largest upper end of their own intervals: one of them belongs to the truly best. Empty with one seed.

    Args:
        panel: entries of one task.
        sizes: entry to its trained parameters; entries without a size take no part.
    """
    if panel.draws is None:
        return ()
    places, costs = _by_cost(panel, sizes)
    variance, degrees = (part[places] for part in panel.spread)
    means, errors = panel.sign * panel.means[places], np.sqrt(variance)
    highs = means + special.stdtrit(degrees, (1 + LEVEL) / 2) * errors
    deviations = panel.sign * (panel.draws[:, places] - panel.means[places])
    standard = np.divide(deviations, errors, out=np.zeros_like(deviations), where=errors > 0)
    largest = np.maximum.accumulate(standard, axis=1)
    steps = []
    for cost in np.unique(costs):
        last = int(np.flatnonzero(costs == cost)[-1])
        upto = slice(0, last + 1)
        factor = float(np.quantile(largest[:, last], (1 + LEVEL) / 2))
        score, low, high = means[upto].max(), (means[upto] - factor * errors[upto]).max(), highs[upto].max()
        ends = sorted((panel.sign * low, panel.sign * high))
        steps.append(Step(float(cost), float(panel.sign * score), *map(float, ends)))
    return tuple(steps)


def _by_cost(panel: Panel, sizes: Mapping[str, float]) -> tuple[NDArray[np.intp], Matrix]:
    """Return the places of the entries that have a size, smallest first, and their sizes."""
    known = [place for place, name in enumerate(panel.names) if name in sizes]
    places = np.array(sorted(known, key=lambda place: (sizes[panel.names[place]], place)), dtype=np.intp)
    return places, np.array([sizes[panel.names[place]] for place in places])
