"""Several entries of one task on the seeds and items that all of them have: every pair at once, and joint draws.

A paired difference needs the mean squares of ``a - b``. These are quadratic forms, so that the inner products of the
entries' seed effects, item effects and residuals give all pairs: 500 entries have 124,750 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.prior import Prior, prior_of
from leaderboard.random import chi_squares, normals
from leaderboard.spread import Matrix, Spread, Squares, crossed_spread, verdict_degrees
from leaderboard.statistics import LEVEL, SEEDS_AND_ITEMS, Entry, Interval, centred, mean_interval

NUM_DRAWS = 4000
SAME = 1e-10
"""A variance of a difference below this share of the entries' own is rounding: the two gave equal rows."""
UNDEFINED = "the metric is undefined when some item is left out"


class Pairs(NamedTuple):
    """Row minus column for every ordered pair of a panel's entries; [n, n] each."""

    difference: Matrix
    error: Matrix
    """Standard error of the difference; NaN where no spread is seen."""
    degrees: Matrix
    """Of the interval."""
    verdict_degrees: Matrix
    """Of the test over seeds and items."""
    seed_error: Matrix
    """Standard error of the difference on these very items: what seeds alone add."""
    p_value: Matrix
    """Two-sided, of one pair alone; NaN on the diagonal, 1 where no spread is seen."""


@dataclass(frozen=True)
class Panel:
    """Entries of one task, cut to their common seeds and items; make one with ``panel_of``."""

    names: tuple[str, ...]
    """Sorted, which makes every number below independent of the order entries came in."""
    higher_is_better: bool
    scores: Matrix
    """[n, num_seeds]"""
    units: Matrix
    """[n, num_seeds, num_clusters] items or pseudo-values."""
    num_items: int
    left_out: Mapping[str, str]
    """Entries that cannot be compared, and why."""
    key: str = ""
    """Names the stream of the joint draws; panels whose draws are combined need different ones."""

    @property
    def num_seeds(self) -> int:
        """Seeds that all entries have."""
        return int(self.units.shape[1])

    @property
    def ranks(self) -> bool:
        """Whether seeds and items both show how they vary; else nothing here is ranked."""
        return bool(min(self.units.shape[1:]) > 1)

    @cached_property
    def means(self) -> Matrix:
        """[n] mean score over seeds."""
        return np.asarray(self.scores.mean(axis=1))

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """[n] the entries from best to worst mean; equal ones by name."""
        return np.argsort(-self.sign * np.round(self.means, 12), kind="stable")

    @cached_property
    def products(self) -> Squares:
        """[n, n] mean products of seed effects, item effects and residuals; the diagonals are the mean squares.

        Those of the seeds are moderated by the family, see ``prior``.
        """
        num_entries, num_seeds, num_units = self.units.shape
        centred_units = self.units - self.units.mean(axis=(1, 2), keepdims=True)
        by_item, by_seed = centred_units.mean(axis=1), self.by_seed
        noise = np.zeros((num_entries, num_entries))
        for seed in range(num_seeds):
            residual = centred_units[:, seed] - by_seed[:, seed, None] - by_item
            noise += residual @ residual.T
        own = num_units * (by_seed @ by_seed.T)  # S - 1 times their mean products
        return Squares(
            (own + self.prior.degrees * np.diag(self.prior.squares)) / self.free_seed,
            num_seeds * (by_item @ by_item.T) / (num_units - 1),
            noise / ((num_seeds - 1) * (num_units - 1)),
        )

    @cached_property
    def by_seed(self) -> Matrix:
        """[n, num_seeds] how far each seed lies from its entry's mean."""
        return np.asarray(self.units.mean(axis=2) - self.units.mean(axis=(1, 2))[:, None])

    @cached_property
    def prior(self) -> Prior:
        """What the family says of each entry's seeds."""
        moved = (self.units != self.units[:, :1]).any(axis=(1, 2))
        free = self.num_seeds - 1
        return prior_of(self.units.shape[2] * (self.by_seed**2).sum(axis=1) / free, moved, free)

    @property
    def free_seed(self) -> float:
        """Degrees of freedom of the seeds' mean squares: the entry's own and what the family lends."""
        return self.num_seeds - 1 + self.prior.degrees

    def _spread(self, squares: Squares) -> Spread:
        return crossed_spread(squares, self.num_seeds, self.units.shape[2], self.free_seed)

    @cached_property
    def spread(self) -> Spread:
        """[n] variance of each mean, and its degrees of freedom."""
        return self._spread(Squares(*(np.diag(part) for part in self.products)))

    @cached_property
    def pairs(self) -> Pairs:
        """Every paired difference of the family.

        A pair's mean square of seeds is its moderated one, or its own where that is larger: who lends must not hide
        that the seeds of these two differ more. The p value is the larger of two: of a t test with the error of the
        interval, over seeds and items, and the degrees of freedom of a verdict (``verdict_degrees``); and of the paired
        t test over seeds alone, with the seeds' degrees of freedom. Where few seeds happen to agree, the interval alone
        would call 7 to 8 % of pairs of equal entries different.
        """
        num_seeds, num_units = self.units.shape[1:]
        own = Squares(*(np.add.outer(np.diag(part), np.diag(part)) for part in self.products))
        squares = Squares(*(np.maximum(both - 2 * part, 0.0) for both, part in zip(own, self.products, strict=True)))
        apart = ((self.by_seed[:, None] - self.by_seed[None]) ** 2).sum(axis=2) * num_units / (num_seeds - 1)
        squares = squares._replace(seed=np.maximum(squares.seed, apart))
        variance, degrees = self._spread(squares)
        # Equal rows show no spread, whatever the family says of seeds.
        seen = squares.item + squares.noise > SAME * (own.item + own.noise)
        error = np.where(seen, np.sqrt(variance), np.nan)
        seed_error = np.where(seen, np.sqrt(np.maximum(squares.seed, squares.noise) / (num_seeds * num_units)), np.nan)
        difference = np.subtract.outer(self.means, self.means)
        tested = verdict_degrees(squares, num_units, self.free_seed)
        p_value = np.maximum(_two_sided(difference, error, tested), _two_sided(difference, seed_error, self.free_seed))
        np.fill_diagonal(p_value, np.nan)
        return Pairs(difference, error, degrees, tested, seed_error, p_value)

    def difference(self, first: int, second: int) -> Interval:
        """Return the paired difference of two entries, by their places in ``names``, as the family sees it."""
        if not self.ranks or np.isnan(self.pairs.error[first, second]):
            return self.combination({self.names[first]: 1.0, self.names[second]: -1.0})
        gap, error, degrees = (float(part[first, second]) for part in self.pairs[:3])
        half = float(special.stdtrit(degrees, (1 + LEVEL) / 2)) * error
        return Interval(gap, gap - half, gap + half, self.num_seeds, self.num_items, SEEDS_AND_ITEMS, error, degrees)

    def combination(self, weights: Mapping[str, float]) -> Interval:
        """Return a weighted sum of entries' scores, with the interval of the same sum of their items."""
        chosen = [self.names.index(name) for name in weights]
        factors = np.array(list(weights.values()))
        centre = float(factors @ self.means[chosen])
        return centred(mean_interval(np.tensordot(factors, self.units[chosen], axes=1)), centre, self.num_items)

    @cached_property
    def draws(self) -> Matrix | None:
        """[NUM_DRAWS, n] means that other seeds and items could have given, jointly; None with one seed.

        A draw is ``mean + seed part + item part``. The seed part gives every seed one weight, the same for all entries,
        so that entries which move together under a seed do so in the draws, and adds what the family lends (``prior``);
        its scale is drawn as that of Student's t with the seeds' degrees of freedom, and each entry's part is shrunk by
        ``1 - MS_residual / MS_seed`` (0 where that is negative), as in its interval. The item part is normal with the
        joint covariance of the item means. Random words are Philox's, from a fixed key: the same on every build.
        """
        if not self.ranks:
            return None
        num_entries, num_seeds, num_units = self.units.shape
        squares = Squares(*(np.diag(part) for part in self.products))
        seen = squares.seed > squares.noise * (1 + 1e-9)
        shrunk = np.sqrt(np.where(seen, 1 - squares.noise / np.where(seen, squares.seed, 1.0), 0.0))
        own = self.by_seed / np.sqrt(num_seeds * self.free_seed)
        lent = np.sqrt(self.prior.degrees * self.prior.squares / (self.free_seed * num_seeds * num_units))
        moves = (
            normals(f"seeds {self.key}", NUM_DRAWS, num_seeds) @ own.T
            + normals(f"prior {self.key}", NUM_DRAWS, num_entries) * lent
        )
        scale = np.sqrt(self.free_seed / chi_squares(f"scale of seeds {self.key}", self.free_seed, NUM_DRAWS))
        lacking = np.diag(np.maximum(squares.noise - squares.item, 0.0))
        root = _root((self.products.item + lacking) / (num_seeds * num_units))
        items = normals(f"items {self.key}", NUM_DRAWS, num_entries) @ root
        # Entries with equal rows are one: chance and rounding must not break their tie.
        seen_first: dict[bytes, int] = {}
        twins = [seen_first.setdefault(one.tobytes(), place) for place, one in enumerate(self.units)]
        return np.asarray((self.means + scale[:, None] * moves * shrunk + items)[:, twins])


def _two_sided(difference: Matrix, error: Matrix, degrees: Matrix | float) -> Matrix:
    """Return the two-sided p value of Student's t; 1 where no error is known."""
    ratio = np.divide(np.abs(difference), error, out=np.full_like(error, np.inf), where=error > 0)
    return np.where(np.isnan(error), 1.0, 2 * special.stdtr(degrees, -ratio))


def _root(covariance: Matrix) -> Matrix:
    """Return the symmetric square root, which unlike other roots is unique."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def panel_of(entries: Mapping[str, Entry], higher_is_better: bool, key: str = "") -> Panel | None:
    """Cut entries to the seeds and items that all have; None with fewer than two that can be compared.

    Raises:
        ValueError: if the metrics differ.
    """
    metrics = sorted({entry.metric.name for entry in entries.values()})
    if len(metrics) > 1:
        raise ValueError(f"entries are scored by {metrics}; compare one metric")
    shared = common(entries)
    names = [name for name in sorted(shared) if np.isfinite(shared[name].units).all()]
    names = [name for name in names if np.isfinite(list(shared[name].scores.values())).all()]
    if len(names) < 2:
        return None
    return Panel(
        tuple(names),
        higher_is_better,
        np.array([list(shared[name].scores.values()) for name in names]),
        np.stack([shared[name].units for name in names]),
        len(shared[names[0]].item_ids),
        dict.fromkeys(sorted(shared.keys() - set(names)), UNDEFINED),
        key,
    )


def common(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Cut entries to the seeds and items that all of them have; nothing is left where they share none."""
    if not entries:
        return {}
    first, *others = entries.values()
    seeds = set(first.rows).intersection(*(other.rows for other in others))
    shared = set(first.item_ids).intersection(*(other.item_ids for other in others))
    items = [item for item in first.item_ids if item in shared]
    return {name: entry.part(sorted(seeds), items) for name, entry in entries.items()} if seeds and items else {}
