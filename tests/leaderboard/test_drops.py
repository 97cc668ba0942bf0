"""What fails and what would be seen, by hand on small matrices and on made-up results with a known truth."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from leaderboard.drops import ALPHA, NOTHING, History, at_most, drop_of, half_width, history_of, likeness, need, p_value
from leaderboard.spread import Matrix
from leaderboard.statistics import mean_interval
from tests.leaderboard.simulated import answers, level_of, retrained

NUM_PAIRS, MARGIN = 2000, 0.01
CELLS = [(*cell, 0) for cell in itertools.product((3, 5), (300, 1000), (0.0, 0.1, 0.3))]
CELLS += [(*cell, 3) for cell in itertools.product((3, 5), (300,), (0.0, 0.1, 0.3))]


class Rates(NamedTuple):
    """Pairs that failed, of ``NUM_PAIRS``."""

    failed: int
    seen_from: Matrix


def simulate(shape: tuple[int, int], seed_spread: float, num_earlier: int, drops: Matrix, seed: int) -> Rates:
    """Return how many pairs with these true drops fail, and what each says that it would see."""
    stream, failed, seen = np.random.default_rng(seed), 0, []
    for part in np.array_split(drops, 8):
        base, new = retrained(stream, level_of(part, seed_spread), shape, seed_spread)
        earlier = np.empty((part.size, 0, shape[0]))
        if num_earlier:
            earlier = answers(stream, part.size, [1.0] * num_earlier, shape, [seed_spread] * num_earlier).mean(axis=3)
        drop = drop_of(base, new, history_of([earlier[:, number] for number in range(num_earlier)]))
        failed += int((p_value(drop, MARGIN) <= ALPHA).sum())
        seen.append(MARGIN + need(drop, 1))
    return Rates(failed, np.concatenate(seen))


@pytest.mark.parametrize(("num_seeds", "num_items", "seed_spread", "num_earlier"), CELLS)
def test_what_fails_of_2000_pairs(num_seeds: int, num_items: int, seed_spread: float, num_earlier: int) -> None:
    shape = (num_seeds, num_items)
    equal = simulate(shape, seed_spread, num_earlier, np.zeros(NUM_PAIRS), 1)
    upper = stats.beta.ppf(0.95, equal.failed + 1, NUM_PAIRS - equal.failed)
    assert upper <= 0.05, "the upper 95 % bound of Clopper and Pearson"
    half = simulate(shape, seed_spread, num_earlier, np.full(NUM_PAIRS, MARGIN / 2), 2)
    assert half.failed <= 0.05 * NUM_PAIRS
    planted = simulate(shape, seed_spread, num_earlier, equal.seen_from, 3)
    assert planted.failed >= 0.8 * NUM_PAIRS


def test_a_family_without_drops_is_red_in_at_most_5_percent_and_the_size_it_prints_is_found() -> None:
    shape, number = (5, 300), 12
    base, new = retrained(np.random.default_rng(4), np.ones(NUM_PAIRS * number // 4), shape, 0.3)
    drop = drop_of(base, new)
    smallest = p_value(drop, MARGIN).reshape(-1, number).min(axis=1)
    assert (smallest * number <= ALPHA).mean() <= 0.05
    again = retrained(np.random.default_rng(5), level_of(MARGIN + need(drop, number), 0.3), shape, 0.3)
    assert (p_value(drop_of(*again), MARGIN) * number <= ALPHA).mean() >= 0.8


def test_seeds_that_keep_most_of_their_answers_fail_no_more_often_and_see_more() -> None:
    # New results of equal seeds are the old ones but for one answer in ten, which is drawn anew.
    stream = np.random.default_rng(6)
    base, other = retrained(stream, np.ones(NUM_PAIRS), (3, 300), 0.3)
    near = np.where(stream.random(base.shape) < 0.1, other, base)
    close, far = drop_of(base, near), drop_of(base, other)
    assert (p_value(close, MARGIN) <= ALPHA).mean() <= 0.05
    assert need(close, 1).mean() < 0.5 * need(far, 1).mean()
    assert likeness(base, near).mean() == pytest.approx(0.1, abs=0.02)
    assert likeness(base, other).mean() > 0.9


def test_a_drop_is_the_paired_interval_where_history_is_silent() -> None:
    base, new = retrained(np.random.default_rng(7), np.array([0.2]), (4, 200), 0.5)
    base[:] = base[:, :1]  # the baseline's seeds agree, so that the differences alone speak of seeds
    drop, interval = drop_of(base, new), mean_interval((base - new)[0])
    assert drop.size[0] == pytest.approx(interval.estimate)
    assert drop.error[0] == pytest.approx(interval.error)
    assert drop.seed_degrees == 4


def test_history_pools_sets_by_their_degrees_of_freedom() -> None:
    assert history_of([]) == NOTHING
    assert history_of([np.array([0.5])]) == NOTHING
    found = history_of([np.array([0.0, 2.0]), np.array([1.0, 2.0, 3.0]), np.array([9.0])])
    assert [float(found.variance), found.degrees] == pytest.approx([(2 + 2) / 3, 3])


def test_a_history_of_uneven_seeds_makes_a_drop_harder_to_see_and_an_even_one_easier() -> None:
    base, new = retrained(np.random.default_rng(8), np.array([1.0]), (3, 1000), 0.1)
    alone = need(drop_of(base, new), 1)
    assert need(drop_of(base, new, History(np.array([0.05**2]), 20)), 1) > alone
    assert need(drop_of(base, new, History(np.array([0.004**2]), 20)), 1) < alone


def test_without_any_spread_a_drop_is_sure() -> None:
    right = np.ones((3, 20))
    worse, same = drop_of(right, np.zeros((3, 20))), drop_of(right, right)
    assert [float(worse.size), float(p_value(worse, MARGIN)), float(need(worse, 5))] == [1, 0, 0]
    assert [float(same.size), float(p_value(same, MARGIN)), float(need(same, 5))] == [0, 1, 0]
    assert at_most(same, MARGIN)
    assert not at_most(worse, MARGIN)


@given(arrays(np.int8, (2, 3, 6), elements=st.integers(0, 1)), st.floats(0.001, 0.5))
def test_a_drop_that_fails_is_larger_than_the_margin_and_never_also_excluded(units: Matrix, margin: float) -> None:
    base, new = units.astype(np.float64)
    drop = drop_of(base, new)
    fails = p_value(drop, margin) <= ALPHA
    assert not fails or drop.size > margin
    assert not (fails and at_most(drop, margin))
    assert np.isfinite([drop.error, need(drop, 7), half_width(drop)]).all()
    assert drop_of(new, base).size == pytest.approx(-drop.size)


def test_many_drops_at_once_are_each_as_alone() -> None:
    base, new = retrained(np.random.default_rng(9), np.linspace(0, 1, 200), (3, 60), 0.3)
    together = need(drop_of(base, new), 4)
    alone = [need(drop_of(*pair), 4) for pair in zip(base, new, strict=True)]
    assert together == pytest.approx(np.array(alone), rel=5e-3)
