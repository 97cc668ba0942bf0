"""Flips: the items on which one side is better than the other, by what a metric keeps per item.

Some metrics say of every item how well it went, others only of all items together (a correlation): for these there is
nothing to count, and the reason is said. Counts of right and wrong are tested exactly (McNemar 1947, which is the sign
test on the items that differ), as long as each item stands for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.metric import Column, Rows
from leaderboard.metricnames import metric_name
from leaderboard.statistics import Entry

ALIKE = 1e-9
"""Values of items that differ by less are equal but for rounding."""
BY_CORRECT, BY_MISTAKES, BY_CLASS = "correct", ("false_positive", "false_negative"), ("predicted", "actual")
"""Statistics that say whether an item is right: directly, by its mistakes, or by the classes given and asked."""


class Worth(NamedTuple):
    """How well each item went, larger is better, and how that reads."""

    values: Column
    better: str
    worse: str


class Flips(NamedTuple):
    """The items on which two runs differ, seen from the first."""

    better: str
    worse: str
    won: tuple[str, ...]
    """Items on which the first is better, as stored."""
    lost: tuple[str, ...]
    num_items: int
    p_value: float | None
    """Two-sided, that either side wins a differing item equally often; None where items come in groups."""


def worth(rows: Rows, higher_is_better: bool) -> Worth | None:
    """Return how well each item went by its own statistics; None where they only speak of all items together.

    A metric of a single statistic is its mean or its like, and has the metric's direction.
    """
    if BY_CORRECT in rows:
        return Worth(rows[BY_CORRECT], "right", "wrong")
    if all(name in rows for name in BY_MISTAKES):
        return Worth(-sum((rows[name] for name in BY_MISTAKES), np.zeros(1)), "right", "wrong")
    if all(name in rows for name in BY_CLASS):
        predicted, actual = (rows[name] for name in BY_CLASS)
        whole = bool((predicted == np.round(predicted)).all() and (actual == np.round(actual)).all())
        return Worth((predicted == actual).astype(np.float64), "right", "wrong") if whole else None
    if len(rows) != 1:
        return None
    (values,) = rows.values()
    words = ("right", "wrong") if higher_is_better and np.isin(values, (0.0, 1.0)).all() else ("better", "worse")
    return Worth(values if higher_is_better else -values, *words)


def flips(own: Entry, other: Entry, seed: int, higher_is_better: bool) -> Flips | str:
    """Return the items on which the two differ with one seed, or why that cannot be said."""
    if seed not in own.rows or seed not in other.rows:
        return f"it has no result of seed {seed}"
    first, second = paired(own, other, [seed])
    if not first.item_ids:
        return "they share no item"
    ours, theirs = worth(first.rows[seed], higher_is_better), worth(second.rows[seed], higher_is_better)
    if ours is None or theirs is None:
        return f"{metric_name(own.metric.name)} speaks of all items together, not of one"
    differ = ours.values - theirs.values
    won, lost = np.flatnonzero(differ > ALIKE), np.flatnonzero(differ < -ALIKE)
    ids = first.item_ids
    grouped = first.cluster_ids is not ids and first.cluster_ids != ids
    p_value = None if grouped else sign_test(won.size, lost.size)
    return Flips(ours.better, ours.worse, tuple(ids[i] for i in won), tuple(ids[i] for i in lost), len(ids), p_value)


def paired(own: Entry, other: Entry, seeds: Sequence[int]) -> tuple[Entry, Entry]:
    """Return both entries on the items that both have, in one order, and on the seeds given."""
    if own.item_ids == other.item_ids:
        return own, other
    shared = set(other.item_ids)
    items = [item for item in own.item_ids if item in shared]
    return own.part(seeds, items), other.part(seeds, items)


@lru_cache(maxsize=1 << 14)
def sign_test(won: int, lost: int) -> float:
    """Return the exact two-sided p value of so many wins and losses where both are equally likely; 1 without any."""
    return min(1.0, 2 * float(special.bdtr(min(won, lost), won + lost, 0.5))) if won + lost else 1.0
