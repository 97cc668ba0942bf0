"""Duels: many pairs of entries at once, each with its paired difference and the items it wins and loses.

A pair is looked at alone: its interval is the one of ``paired_difference``, and nothing is corrected for how many pairs
there are or how one was chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from leaderboard.flips import ALIKE, paired, worth
from leaderboard.spread import Matrix, crossed_spread, mean_squares
from leaderboard.statistics import ITEMS_ONLY, LEVEL, SEEDS_AND_ITEMS, Entry, Interval

AT_ONCE = 128
"""Pairs computed together: some megabytes of items."""
Pair = tuple[int, int]


class Duel(NamedTuple):
    """One entry against another on one task."""

    difference: Interval
    """First minus second."""
    won: int | None
    """Items on which the first is better, by its mean over the seeds; None where items say nothing alone."""
    lost: int | None


def duels(entries: Mapping[int, Entry], pairs: Sequence[Pair], higher_is_better: bool) -> dict[Pair, Duel]:
    """Return what each pair shows; a pair without a common seed or item has no duel.

    Args:
        entries: of one task and metric, by number.
        pairs: numbers of two entries each.
        higher_is_better: the direction of the score.
    """
    groups: dict[tuple[tuple[int, ...], tuple[str, ...]], list[Pair]] = defaultdict(list)
    odd = []
    for first, second in pairs:
        one, other = entries[first], entries[second]
        seeds = tuple(sorted(one.rows.keys() & other.rows.keys()))
        if not seeds:
            continue
        if one.item_ids == other.item_ids:
            groups[seeds, one.item_ids].append((first, second))
        else:
            odd.append((first, second, seeds))
    found: dict[Pair, Duel] = {}
    for (seeds, _), group in groups.items():
        found |= _alike(entries, group, seeds, higher_is_better)
    for first, second, seeds in odd:
        one, other = paired(entries[first], entries[second], seeds)
        if one.item_ids:
            cut = {first: one, second: other}
            found |= _alike(cut, [(first, second)], seeds, higher_is_better)
    return found


def _sums(entry: Entry, seeds: Sequence[int], higher_is_better: bool) -> Matrix | None:
    """Return how well each item went, summed over seeds."""
    found = [worth(entry.rows[seed], higher_is_better) for seed in seeds]
    values = [one.values for one in found if one is not None]
    return np.asarray(np.sum(values, axis=0)) if len(values) == len(found) else None


def _alike(
    entries: Mapping[int, Entry], pairs: Sequence[Pair], seeds: Sequence[int], higher_is_better: bool
) -> dict[Pair, Duel]:
    """Return the duels of entries on equal items, by some of their seeds."""
    places = sorted({place for pair in pairs for place in pair})
    row = {place: number for number, place in enumerate(places)}
    units = np.stack([_units(entries[place], seeds) for place in places])
    scores = np.array([[entries[place].scores[seed] for seed in seeds] for place in places])
    sums = {row[place]: _sums(entries[place], seeds, higher_is_better) for place in places}
    num_items = len(entries[places[0]].item_ids)
    found: dict[Pair, Duel] = {}
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        index = np.array([(row[first], row[second]) for first, second in some])
        centres = (scores[index[:, 0]] - scores[index[:, 1]]).mean(axis=1)
        intervals = _intervals(units[index[:, 0]] - units[index[:, 1]], centres, num_items)
        for pair, (first, second), interval in zip(some, index.tolist(), intervals, strict=True):
            found[pair] = Duel(interval, *_counts(sums[first], sums[second]))
    return found


def _units(entry: Entry, seeds: Sequence[int]) -> Matrix:
    """Return the pseudo-values of some seeds."""
    every = sorted(entry.rows)
    return entry.units if len(seeds) == len(every) else entry.units[[every.index(seed) for seed in seeds]]


def _counts(ours: Matrix | None, theirs: Matrix | None) -> tuple[int | None, int | None]:
    if ours is None or theirs is None:
        return None, None
    differ = ours - theirs
    return int(np.count_nonzero(differ > ALIKE)), int(np.count_nonzero(differ < -ALIKE))


def _intervals(differ: Matrix, centres: Matrix, num_items: int) -> Iterator[Interval]:
    """Yield the interval of each [num_seeds, num_units] difference, as ``mean_interval`` gives it for one."""
    _, num_seeds, num_units = differ.shape
    finite = np.isfinite(differ).all(axis=(1, 2)) & np.isfinite(centres)
    basis = ITEMS_ONLY if num_seeds == 1 else SEEDS_AND_ITEMS
    if num_units < 2:
        yield from (_bare(centre, num_seeds, num_items, "one item shows no spread of items") for centre in centres)
        return
    with np.errstate(invalid="ignore"):
        if num_seeds == 1:
            variance = differ[:, 0].var(axis=1, ddof=1) / num_units
            degrees = np.full(len(differ), num_units - 1.0)
        else:
            variance, degrees = crossed_spread(mean_squares(differ), num_seeds, num_units)
        seen = variance > 1e-24 * np.maximum(1.0, np.abs(differ).max(axis=(1, 2)) ** 2)
        errors = np.sqrt(variance)
        halves = special.stdtrit(degrees, (1 + LEVEL) / 2) * errors
    numbers = (centres, errors, degrees, halves, finite, seen)
    for centre, error, free, half, known, spread in zip(*(part.tolist() for part in numbers), strict=True):
        if known and spread:
            ends = (centre - half, centre + half)
            yield Interval(centre, *ends, num_seeds, num_items, basis, error, free)
        else:
            why = "the metric is undefined when some item is left out"
            yield _bare(centre, num_seeds, num_items, "all items agree, so no spread is seen" if known else why)


def _bare(centre: float, num_seeds: int, num_items: int, why: str) -> Interval:
    return Interval(float(centre), None, None, num_seeds, num_items, why)
