"""Differences that a reader may believe: paired on items and seeds, and corrected for looking at many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.load import Run, read_entry
from leaderboard.panel import Panel, panel_of
from leaderboard.spread import Matrix
from leaderboard.statistics import Entry, Interval, paired_difference

ALPHA = 0.05
POWER = 0.8


def compare(runs_a: Sequence[Run], runs_b: Sequence[Run], task: str) -> Interval:
    """Return the headline score of cell a minus that of cell b on one task, with its paired 95 % interval.

    Raises:
        UnreadableRecord: if some run's items cannot be used.
        ValueError: if the task was not scored, or the cells share no seed or item.
    """
    headlines = {score.headline for run in (*runs_a, *runs_b) if (score := run.score(task))}
    if len(headlines) != 1:
        raise ValueError(f"{task}: need one headline metric on both sides, found {sorted(headlines) or 'none'}")
    (metric,) = headlines
    return paired_difference(read_entry(runs_a, task, metric), read_entry(runs_b, task, metric))


class Standing(NamedTuple):
    """The entry with the best mean, and which others the data tell apart from it."""

    best: str
    differences: Mapping[str, Interval]
    """Best minus other."""
    apart: tuple[str, ...]
    """Others that are worse by more than chance explains, corrected at 5 % over this family."""
    together: tuple[str, ...]
    """Others that are not told apart from the best: it is not shown to be better than these."""


def standing(entries: Mapping[str, Entry], higher_is_better: bool) -> Standing | None:
    """Set the entry with the best mean against every other; None with fewer than two entries, or nothing in common.

    All differences are paired: only the seeds and items that every entry of the family has are looked at, so that the
    best is best in each of its differences. Which others are told apart is corrected as ``below_best`` says.

    Args:
        entries: name to rows, each with at least two seeds, all on one task.
        higher_is_better: the direction of the score.
    """
    panel = panel_of(entries, higher_is_better)
    if panel is None:
        return None
    best = int(panel.order[0])
    others = [place for place in range(len(panel.names)) if place != best]
    differences = {panel.names[place]: panel.difference(best, place) for place in others}
    p_values = {panel.names[place]: float(panel.pairs.p_value[best, place]) for place in others} if panel.ranks else {}
    apart = below_best({name: p for name, p in p_values.items() if differences[name].ranks})
    together = tuple(name for name in differences if name not in apart)
    return Standing(panel.names[best], differences, tuple(sorted(apart)), (*together, *panel.left_out))


def below_best(p_values: Mapping[str, float | None]) -> list[str]:
    """Return which entries are told apart from the best one of their family, at a family-wise error of 5 %.

    Holm's step-down with the choice of the best paid for. The best is best on the very data that test it, so that
    with ``m`` entries left any of their ``m (m - 1) / 2`` pairs could have been the one looked at: the smallest
    p value has to be at most ``0.05 / (m (m - 1) / 2)``, then its entry leaves and the next is tested with ``m - 1``.
    Holm over the ``m - 1`` differences alone would call some of ten equal entries worse in 7 to 13 % of families.

    Args:
        p_values: other entry to the two-sided p value of its paired difference from the best.
    """
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    passed: list[str] = []
    for number, (p, name) in enumerate(known):
        left = len(known) - number + 1
        if p * left * (left - 1) / 2 > ALPHA:
            break
        passed.append(name)
    return passed


def told_apart(panel: Panel) -> NDArray[np.bool_]:
    """Return [n, n] which entries of a family the data tell apart, at a family-wise error of 5 %.

    Every pair is tested on its paired difference and corrected by Holm over all ``n (n - 1) / 2`` pairs; what
    ``below_best`` tells apart from the best counts too, so that letters, rank intervals and the verdicts about the
    best never contradict each other. Of 8,000 simulated families of equal entries on 3 or 5 seeds each, some pair is
    told apart in 2 to 4 % of those of three to ten entries, and in at most 5.1 % of those of two. Where one entry's
    seeds vary six times as much as all others', it is 5.1 % of five entries and 6.3 % of ten on three seeds: of seeds
    that happen to agree, three cannot show that they are others.
    """
    p_value = panel.pairs.p_value
    rows, columns = np.triu_indices(len(panel.names), 1)
    values = p_value[rows, columns]
    by_size = np.argsort(values, kind="stable")
    passes = values[by_size] * np.arange(values.size, 0, -1) <= ALPHA
    chosen = by_size[: int(np.argmin(passes)) if not passes.all() else values.size]
    apart = np.zeros(p_value.shape, dtype=bool)
    apart[rows[chosen], columns[chosen]] = True
    best = panel.order[0]
    others = {str(place): float(p_value[best, place]) for place in range(len(panel.names)) if place != best}
    apart[best, [int(place) for place in below_best(others)]] = True
    return apart | apart.T


def detectable(error: Matrix, degrees: Matrix | float, num_entries: int) -> Matrix:
    """Return the smallest true difference that a corrected t test finds in 80 % of repetitions.

    ``d = error * delta``, where ``delta`` is the noncentrality at which Student's t passes the two-sided level ``0.05 /
    (n (n - 1) / 2)`` with a probability of 80 %. It is the level of the family's first step, so that the statement
    holds whatever the other entries do. A difference that was not found and is smaller than this may well be real.

    Args:
        error: standard errors of paired differences; NaN gives NaN.
        degrees: their degrees of freedom.
        num_entries: n, the entries of the family.
    """
    level = ALPHA / (num_entries * (num_entries - 1) / 2)
    critical = -special.stdtrit(degrees, level / 2)
    return np.asarray(special.nctdtrinc(degrees, 1 - POWER, critical) * error)


def detectable_from(panel: Panel, place: int) -> Matrix:
    """Return [n] the smallest true differences from one entry that its family would find in 80 % of repetitions.

    A pair has to pass two tests (``Panel.pairs``), and each has its ``detectable`` difference: the larger counts.
    """
    pairs, number = panel.pairs, len(panel.names)
    crossed = detectable(pairs.error[place], pairs.verdict_degrees[place], number)
    return np.maximum(crossed, detectable(pairs.seed_error[place], panel.free_seed, number))
