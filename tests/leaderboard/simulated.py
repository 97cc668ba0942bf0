"""Made-up results with a known truth: right and wrong answers whose chance depends on seed, item and entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.metric import METRICS
from leaderboard.panel import Panel, panel_of
from leaderboard.statistics import Entry

Matrix = NDArray[np.float64]
SHARED, OWN = 1.2, 0.9
"""Spread on the logit of what makes an item hard for all entries, and for one."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


def truth(level: float, seed_spread: float) -> float:
    """Return the expected accuracy over seeds and items."""
    spread = np.hypot(np.hypot(SHARED, OWN), seed_spread)
    return float(WEIGHTS @ (1 / (1 + np.exp(-(level + spread * NODES)))) / WEIGHTS.sum())


def answers(
    stream: np.random.Generator,
    num_rounds: int,
    levels: Sequence[float],
    shape: tuple[int, int],
    seed_spreads: Sequence[float],
) -> Matrix:
    """Return [num_rounds, n, num_seeds, num_items] right (1) and wrong (0) answers of n entries.

    Args:
        stream: where chance comes from.
        num_rounds: independent repetitions.
        levels: each entry's mean on the logit.
        shape: num_seeds, num_items.
        seed_spreads: standard deviation of each entry's seeds on the logit.
    """
    (num_seeds, num_items), number = shape, len(levels)

    def normal(*size: int) -> NDArray[np.float32]:
        return stream.standard_normal((num_rounds, *size), dtype=np.float32)

    logit = SHARED * normal(1, 1, num_items) + OWN * normal(number, 1, num_items)
    seeds = np.asarray(seed_spreads, dtype=np.float32)[:, None, None] * normal(number, num_seeds, 1)
    logit = logit + seeds + np.asarray(levels, dtype=np.float32)[:, None, None]
    chance = stream.random((num_rounds, number, num_seeds, num_items), dtype=np.float32)
    return np.asarray(chance * (1 + np.exp(-logit)) < 1, dtype=np.float64)


def panel(units: Matrix, higher_is_better: bool = True, key: str = "") -> Panel:
    """Return the panel of [n, num_seeds, num_items] answers; entries are e0, e1, ..."""
    found = panel_of(entries(units), higher_is_better, key)
    assert found is not None
    return found


def entries(units: Matrix) -> dict[str, Entry]:
    """Return entries of accuracy with these answers."""
    ids = tuple(f"i{number}" for number in range(units.shape[2]))
    width = len(str(len(units) - 1))
    return {
        f"e{number:0{width}}": Entry(METRICS["accuracy"], ids, ids, {s: {"correct": row} for s, row in enumerate(one)})
        for number, one in enumerate(units)
    }


def panels(
    num_rounds: int, levels: Sequence[float], shape: tuple[int, int], seed_spreads: Sequence[float], seed: int = 0
) -> Iterator[Panel]:
    """Yield one panel a round, from a fixed stream."""
    stream = np.random.default_rng(seed)
    for _ in range(num_rounds):
        yield panel(answers(stream, 1, levels, shape, seed_spreads)[0])


def level_of(drops: Matrix, seed_spread: float) -> Matrix:
    """Return the mean on the logit of an entry that is worse than one at 1 by these expected accuracies."""
    levels = np.linspace(-8.0, 1.0, 361)
    rises = [truth(level, seed_spread) for level in levels]
    return np.asarray(np.interp(rises[-1] - drops, rises, levels))


def retrained(
    stream: np.random.Generator, levels: Matrix, shape: tuple[int, int], seed_spread: float
) -> tuple[Matrix, Matrix]:
    """Return [num_rounds, num_seeds, num_items] answers of entries at 1, and of others at a level for each round."""
    num_seeds, num_items = shape

    def normal(*size: int) -> NDArray[np.float32]:
        return stream.standard_normal((levels.size, *size), dtype=np.float32)

    shared, both = SHARED * normal(1, num_items), []
    for level in (np.ones_like(levels), levels):
        logit = shared + OWN * normal(1, num_items) + seed_spread * normal(num_seeds, 1)
        chance = stream.random((levels.size, num_seeds, num_items), dtype=np.float32)
        both.append(chance * (1 + np.exp(-logit - level.astype(np.float32)[:, None, None])) < 1)
    return both[0].astype(np.float64), both[1].astype(np.float64)
