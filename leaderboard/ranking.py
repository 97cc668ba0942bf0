"""Ranks that know how unsure they are: letter groups, rank intervals, and the chance of being the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.compare import detectable_from, told_apart
from leaderboard.panel import Panel, panel_of
from leaderboard.statistics import Entry, Interval

MOST_LETTERED = 50
"""Families of more entries get no letters: hundreds of overlapping groups tell a reader nothing."""


class Place(NamedTuple):
    """Where one entry stands in its family."""

    name: str
    mean: float
    letters: tuple[str, ...]
    """Two entries share a letter if and only if the data do not tell them apart; none in a family of over 50."""
    rank_low: int
    rank_high: int
    """The true rank lies between these for all entries of the family at once, with 95 % confidence."""
    best_chance: float
    """Probability of being the best."""
    gap: Interval | None
    """The best entry's score minus this one's, paired; None for the best itself."""
    detectable: float | None
    """Smallest true difference from the best that would be found in 80 % of repetitions; None for the best itself."""
    below_best: bool
    """Whether it is told apart from the best."""


class Ranking(NamedTuple):
    """The entries of one family, best mean first."""

    places: tuple[Place, ...]
    detectable: float | None
    """Median of the places' smallest true differences from the best found in 80 % of repetitions."""
    num_seeds: int
    num_items: int
    left_out: Mapping[str, str]
    """Entries that cannot be ranked, and why."""

    @property
    def best(self) -> str:
        """The entry with the best mean."""
        return self.places[0].name

    def place(self, name: str) -> Place | None:
        """Return the place of one entry, None where it is not ranked."""
        return next((place for place in self.places if place.name == name), None)


def rank(entries: Mapping[str, Entry], higher_is_better: bool) -> Ranking | None:
    """Rank the entries of one family; None with fewer than two that share two seeds and two items.

    Args:
        entries: name to rows, all on one task; only seeds and items that all have are looked at.
        higher_is_better: the direction of the score.

    Raises:
        ValueError: if the metrics differ.
    """
    panel = panel_of(entries, higher_is_better)
    return ranking_of(panel) if panel is not None and panel.ranks else None


def ranking_of(panel: Panel) -> Ranking:
    """Rank the entries of a panel with at least two seeds."""
    apart = told_apart(panel)
    lettered = len(panel.names) <= MOST_LETTERED
    letters = letter_groups(apart[np.ix_(panel.order, panel.order)]) if lettered else [()] * len(panel.names)
    low, high = rank_bounds(panel, apart)
    chances = best_chances(panel)
    best = int(panel.order[0])
    least = detectable_from(panel, best)
    places = tuple(
        Place(
            name=panel.names[entry],
            mean=float(panel.means[entry]),
            letters=letters[number],
            rank_low=int(low[entry]),
            rank_high=int(high[entry]),
            best_chance=chances[panel.names[entry]],
            gap=panel.difference(best, entry) if number else None,
            detectable=_known(least[entry]) if number else None,
            below_best=bool(apart[best, entry]),
        )
        for number, entry in enumerate(map(int, panel.order))
    )
    known = [place.detectable for place in places if place.detectable is not None]
    median = float(np.median(known)) if known else None
    return Ranking(places, median, panel.num_seeds, panel.num_items, panel.left_out)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def rank_bounds(panel: Panel, apart: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the smallest and largest rank each entry of a family can have.

    An entry's rank is at least 1 plus the number of entries that are told to be better, and at most the number of
    entries less those told to be worse: ``1 + #better`` to ``n - #worse``. As the verdicts of a family hold together
    with 95 %, so do all of its rank intervals. Ranks counted in random draws would be narrower and wrong: of entries
    that are equal in truth they shut out most ranks.
    """
    ahead = panel.sign * panel.pairs.difference > 0
    better, worse = (apart & ahead.T).sum(axis=1), (apart & ahead).sum(axis=1)
    return better + 1, len(panel.names) - worse


def letter_groups(apart: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    """Return the letters of each entry: two share a letter if and only if they are not told apart.

    Not being told apart is not transitive: a may be like b and b like c, while a and c differ. So an entry can have
    several letters, one for each group of entries among which no two differ. Groups are named a, b, c, ... by their
    best member.

    Args:
        apart: [n, n], symmetric, which entries differ; best mean first.
    """
    alike: NDArray[np.bool_] = np.logical_or(~apart, np.eye(len(apart), dtype=bool))
    covered = np.zeros_like(alike)
    groups: list[NDArray[np.intp]] = []
    for first in range(len(alike)):
        while (missing := np.flatnonzero(alike[first] & ~covered[first])).size:
            group = _group(alike, [first, int(missing[-1])], np.flatnonzero(alike[first]))
            covered[np.ix_(group, group)] = True
            groups.append(group)
    groups = sorted(_needed(groups, len(alike)), key=lambda group: tuple(group))
    names: list[list[str]] = [[] for _ in alike]
    for number, group in enumerate(groups):
        for entry in group:
            names[entry].append(letter(number))
    return [tuple(one) for one in names]


def _group(alike: NDArray[np.bool_], seed: Sequence[int], candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    """Grow a group from two entries, best first, until no other entry is like all of its members."""
    members = sorted(set(seed))
    fits = np.asarray(alike[members].all(axis=0))
    for candidate in candidates:
        if candidate not in members and fits[candidate]:
            members.append(int(candidate))
            fits &= alike[candidate]
    return np.array(sorted(members), dtype=np.intp)


def _needed(groups: Sequence[NDArray[np.intp]], num_entries: int) -> list[NDArray[np.intp]]:
    """Leave out groups all of whose pairs other groups hold, so that as few letters as possible are shown."""
    times = np.zeros((num_entries, num_entries), dtype=np.intp)
    for group in groups:
        times[np.ix_(group, group)] += 1
    kept = []
    for group in groups:
        square = np.ix_(group, group)
        if (times[square] > 1).all():
            times[square] -= 1
        else:
            kept.append(group)
    return kept


def letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def best_chances(panel: Panel) -> dict[str, float]:
    """Return the probability of each entry being the best of its family, had other seeds and items been drawn.

    It is the share of joint draws (``Panel.draws``) in which the entry's mean is the best; entries that are equal to
    the last bit share a draw. Empty with one seed.
    """
    if panel.draws is None:
        return {}
    draws = panel.sign * panel.draws
    first = draws == draws.max(axis=1, keepdims=True)
    shares = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    return dict(zip(panel.names, map(float, shares), strict=True))
