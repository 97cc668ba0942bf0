"""Drops: how much worse new results of a cell are than its baseline, and what chance and history allow for.

A drop is the baseline's score minus the new one, seen so that a worse result is positive. It fails only if it is
larger than a margin by more than chance explains, at 5 % corrected for the number of cells that one comparison decides.
Testing against 0 instead, and asking that the drop also look larger than the margin, would not do: up to a fifth of the
drops of half the margin look larger than the whole of it.

So no drop of the margin itself is ever found reliably, and what a cell can see is the margin and, on top of it, what
significance needs: ``margin + need``. Where the need is larger than the margin, a drop of twice the margin could be
missed; a cell that did not fail then has not passed either, unless its data exclude a drop larger than the margin.

Simulated on 2,000 pairs each for 3 and 5 seeds, 300 and 1,000 items, and seed effects of 0 to 0.3 on the logit, with no
or three earlier sets of seeds: without a drop 0.1 to 3.5 % fail at a margin of one point, with one of half the margin
0.3 to 4 %, and with one as large as the pair's own ``margin + need`` 83 to 98 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.spread import Matrix, crossed_spread, mean_squares

ALPHA = 0.05
POWER = 0.87
"""What ``need`` aims at, so that 80 % is reached: of two entries the worse varies more, and degrees of freedom are
estimates too."""
BASE_COUNTS = 1 / 3
"""Degrees of freedom that the baseline's own seeds lend, as a share of theirs: they are in the differences already. Of
half the differences' mean square and half of twice the baseline's, the two have 4/3 together, not 2."""
NODES = (np.arange(40) + 0.5) / 40
"""Probabilities whose quantiles stand for a chi-square."""
MOST = 1e4
"""Degrees of freedom from which on Student's t is normal."""
GRID = np.geomspace(1.0, MOST, 80)


class History(NamedTuple):
    """What earlier results of a cell say of its seeds."""

    variance: Matrix
    """Of the mean over items of one seed."""
    degrees: float
    """Seeds looked at, less one for every set of them."""


NOTHING = History(np.zeros(()), 0.0)


class Drop(NamedTuple):
    """One drop, or many at once (arrays of one shape); higher is worse."""

    size: Matrix
    error: Matrix
    """Standard error over new seeds and new items; 0 where no spread is seen at all."""
    degrees: Matrix
    seed_error: Matrix
    """Standard error over new seeds alone."""
    seed_degrees: float


def history_of(sets: Sequence[Matrix]) -> History:
    """Return what sets of seeds, trained at one time each, say together of how much seeds vary.

    Args:
        sets: [..., num_seeds] mean over items of each seed; a set of one seed tells nothing.
    """
    degrees = [one.shape[-1] - 1 for one in sets]
    if not sum(degrees):
        return NOTHING
    squares = sum((((one - one.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) for one in sets), np.zeros(()))
    return History(np.asarray(squares / sum(degrees)), float(sum(degrees)))


def drop_of(base: Matrix, new: Matrix, history: History = NOTHING) -> Drop:
    """Return the paired drop of [..., num_seeds, num_items] values, larger ones being better.

    The two-way model of ``statistics`` looks at the differences of equal seeds and items. Of how seeds vary three
    differences tell little, so that history is added to it: two results of independent seeds differ by twice the
    variance of one. Results of equal seeds are not always independent: where nearly all items come out the same, as
    after a change of no consequence, the means of seeds cannot differ as much. So history counts as far as results of
    equal seeds are as different as those of other seeds (``likeness``). And it must not hide that these very seeds
    differ more: the larger of both mean squares counts.

    Args:
        base: the baseline's, at least two seeds and two items.
        new: of the same seeds and items.
        history: of further sets of seeds; the baseline's own is looked at anyhow.
    """
    num_seeds, num_items = base.shape[-2:]
    differences = base - new
    squares = mean_squares(differences)
    own, known = num_seeds - 1, history_of([base.mean(axis=-1)])
    lent = (history.degrees * history.variance + BASE_COUNTS * own * known.variance) * likeness(base, new)
    free_seed = own + history.degrees + BASE_COUNTS * own
    moderated = (own * squares.seed + 2 * num_items * lent) / free_seed
    squares = squares._replace(seed=np.maximum(squares.seed, moderated))
    spread = crossed_spread(squares, num_seeds, num_items, free_seed)
    seed_variance = np.maximum(squares.seed, squares.noise) / (num_seeds * num_items)
    size = differences.mean(axis=(-2, -1))
    return Drop(size, np.sqrt(spread.variance), spread.degrees, np.sqrt(seed_variance), free_seed)


def likeness(base: Matrix, new: Matrix) -> Matrix:
    """Return how far results of equal seeds are as different as those of other seeds: 0 for equal ones, at most 1.

    It compares how much the items' differences vary, of which there are enough to tell even with three seeds.
    """
    num_seeds = base.shape[-2]
    apart = [(base - np.roll(new, shift, axis=-2)).var(axis=-1).mean(axis=-1) for shift in range(num_seeds)]
    others = np.mean(apart[1:], axis=0)
    return np.asarray(np.minimum(1.0, np.divide(apart[0], others, out=np.zeros_like(others), where=others > 0)))


def p_value(drop: Drop, margin: float) -> Matrix:
    """Return the p value of a drop being at most the margin.

    As among the entries of a board, it is the larger of two: over seeds and items, and over seeds alone.
    """
    beyond = drop.size - margin
    crossed = special.stdtr(drop.degrees, -_ratio(beyond, drop.error))
    seeds = special.stdtr(drop.seed_degrees, -_ratio(beyond, drop.seed_error))
    return np.asarray(np.maximum(crossed, seeds))


def _ratio(beyond: Matrix, error: Matrix) -> Matrix:
    """Return a difference in standard errors; without any spread it is sure."""
    sure = np.where(beyond > 0, np.inf, -np.inf)
    return np.divide(beyond, error, out=np.asarray(sure, dtype=np.float64), where=error > 0)


def at_most(drop: Drop, margin: float) -> NDArray[np.bool_]:
    """Return whether the data exclude, at 5 % for one cell, that a drop is larger than the margin."""
    gain = drop._replace(size=-drop.size)
    return p_value(gain, -margin) <= ALPHA


def half_width(drop: Drop) -> Matrix:
    """Return half of the two-sided 95 % interval of a drop, the wider one of its two tests."""
    crossed = drop.error * special.stdtrit(drop.degrees, 1 - ALPHA / 2)
    return np.asarray(np.maximum(crossed, drop.seed_error * special.stdtrit(drop.seed_degrees, 1 - ALPHA / 2)))


def need(drop: Drop, num_cells: int) -> Matrix:
    """Return what a true drop has to have beyond the margin to fail in 80 % of repetitions.

    It is that of the strictest step of the correction, so that it holds whatever the other cells do.

    Args:
        drop: its errors are looked at, not its size.
        num_cells: cells that one comparison decides.
    """
    level = ALPHA / num_cells
    crossed = drop.error * _needed_errors(drop.degrees, level)
    return np.asarray(np.maximum(crossed, drop.seed_error * _needed_errors(drop.seed_degrees, level)))


def _needed_errors(degrees: Matrix | float, level: float) -> Matrix:
    """Return how many standard errors a true difference has to be wide, with these degrees of freedom.

    The errors that it is printed with are estimates, as are those that a repetition is tested with. So it is the ``c``
    at which ``Z + c u > t u'`` has the probability ``POWER``, where ``t`` is Student's quantile, ``Z`` standard normal,
    and ``u`` and ``u'`` are two independent estimates of 1. With 1 for ``u``, as is usual, it is found too seldom.
    """
    places = np.unique(np.clip(np.asarray(degrees, dtype=np.float64), 1.0, MOST))
    if places.size > GRID.size:
        return np.asarray(np.exp(np.interp(np.log(degrees), np.log(GRID), np.log(_needed_errors(GRID, level)))))
    scale = np.sqrt(special.chdtri(places[:, None], 1 - NODES) / places[:, None])
    needed = -special.stdtrit(places, level)[:, None, None] * scale[:, None, :]
    low, high = np.zeros(places.size), 4 * needed.max(axis=(1, 2)) / scale.min(axis=1)
    for _ in range(30):
        middle = (low + high) / 2
        power = special.ndtr(middle[:, None, None] * scale[:, :, None] - needed).mean(axis=(1, 2))
        low, high = np.where(power < POWER, middle, low), np.where(power < POWER, high, middle)
    return np.asarray(high[np.searchsorted(places, np.clip(degrees, 1.0, MOST))])
