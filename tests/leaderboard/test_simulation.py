"""What the statistics promise, shown on data whose truth is known: coverage, error rates, ranks, chances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize, special, stats

from harness.metric import METRICS
from leaderboard.compare import detectable_from, told_apart
from leaderboard.pareto import frontier_band, frontier_chances
from leaderboard.ranking import best_chances, rank_bounds
from leaderboard.spread import crossed_spread, mean_squares, verdict_degrees
from leaderboard.statistics import Entry, score_interval
from tests.leaderboard.simulated import Matrix, answers, panels, truth

CELLS = list(itertools.product((3, 5), (300, 1000), (0.0, 0.1, 0.3)))


def covered(values: Matrix, expected: float) -> float:
    """Return the percentage of [rounds, seeds, items] whose interval holds the truth."""
    spread = crossed_spread(mean_squares(values), *values.shape[1:])
    half = special.stdtrit(spread.degrees, 0.975) * np.sqrt(spread.variance)
    return 100 * float((np.abs(values.mean(axis=(1, 2)) - expected) <= half).mean())


@pytest.mark.parametrize(("num_seeds", "num_items", "seed_spread"), CELLS)
def test_intervals_of_means_and_differences_cover_92_to_98_percent(
    num_seeds: int, num_items: int, seed_spread: float
) -> None:
    stream = np.random.default_rng(20)
    parts = [answers(stream, 400, [1.0, 1.0], (num_seeds, num_items), [seed_spread] * 2) for _ in range(5)]
    first, second = (np.concatenate([part[:, entry] for part in parts]) for entry in (0, 1))
    assert 92 <= covered(first, truth(1.0, seed_spread)) <= 98
    assert 92 <= covered(first - second, 0.0) <= 98


def test_intervals_of_matthews_cover_92_to_98_percent() -> None:
    # Symmetric classes and errors: the correlation is twice the accuracy minus one, so the truth is known.
    stream = np.random.default_rng(20)
    right = answers(stream, 400, [1.0], (3, 300), [0.1])[:, 0]
    expected, hits = 2 * truth(1.0, 0.1) - 1, 0
    ids = tuple(map(str, range(300)))
    for one in right:
        references = stream.integers(0, 2, 300).astype(np.float64)
        predictions = np.where(one > 0, references, 1 - references)
        rows = {
            seed: METRICS["matthews"].rows(row.tolist(), references.tolist()) for seed, row in enumerate(predictions)
        }
        found = score_interval(Entry(METRICS["matthews"], ids, ids, rows))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= expected <= found.high
    assert 92 <= 100 * hits / len(right) <= 98


EQUAL = {
    "ten, no seed effect": [0.0] * 10,
    "ten, a seed effect": [0.3] * 10,
    "ten, uneven": [0.1] * 5 + [0.4] * 5,
    "three": [0.3] * 3,
    "two": [0.3] * 2,
}


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("seed_spreads", EQUAL.values(), ids=EQUAL.keys())
def test_equal_entries_are_told_apart_in_at_most_5_percent_of_families(
    num_seeds: int, seed_spreads: list[float]
) -> None:
    # Seeds that vary more pull the mean towards a half: equal in truth takes a higher level.
    levels = [optimize.brentq(lambda level, s=one: truth(level, s) - truth(1.0, 0.0), 0, 3) for one in seed_spreads]
    num_rounds = 500 if len(levels) > 3 else 2000
    wrong = sum(told_apart(one).any() for one in panels(num_rounds, levels, (num_seeds, 300), seed_spreads))
    # Few entries stay close to 5 %, so that as many rounds as chance gives at 5 % must be allowed them.
    assert wrong <= (0.05 * num_rounds if len(levels) > 3 else stats.binom.isf(0.05, num_rounds, 0.05))


@pytest.mark.parametrize(("seed_spreads", "most"), [((0.3, 0.3), 5.0), ((0.6, 0.6), 5.2), ((0.1, 0.6), 5.4)])
def test_a_verdict_on_two_entries_on_five_seeds_is_wrong_in_5_percent(
    seed_spreads: tuple[float, float], most: float
) -> None:
    # 40,000 pairs, for a standard error of 0.11; the interval's own degrees of freedom give 5.2 to 5.6 %.
    levels = [optimize.brentq(lambda level, s=one: truth(level, s) - truth(1.0, 0.0), 0, 3) for one in seed_spreads]
    stream, shape, wrong = np.random.default_rng(77), (5, 300), 0
    for _ in range(100):
        both = answers(stream, 400, levels, shape, seed_spreads)
        gaps = both[:, 0] - both[:, 1]
        squares = mean_squares(gaps)
        crossed = special.stdtrit(verdict_degrees(squares, 300, 4.0), 0.975) * np.sqrt(
            crossed_spread(squares, *shape).variance
        )
        seeds_alone = special.stdtrit(4, 0.975) * np.sqrt(np.maximum(squares.seed, squares.noise) / gaps[0].size)
        wrong += int((np.abs(gaps.mean(axis=(1, 2))) > np.maximum(crossed, seeds_alone)).sum())
    assert 100 * wrong / 40_000 <= most


def test_two_blocks_of_equal_entries_are_parted_between_and_not_within() -> None:
    block = np.repeat([0, 1], 5)
    within, num_rounds, between = 0, 400, 0.0
    for one in panels(num_rounds, [1.0] * 5 + [1.6] * 5, (3, 300), [0.1] * 10):
        apart, same = told_apart(one), np.equal.outer(block, block)
        within += int((apart & same).any())
        between += apart[~same].mean() / num_rounds
    assert 100 * within / num_rounds <= 5
    assert between > 0.3


@pytest.mark.parametrize("step", [0.0, 0.15, 0.6])
def test_rank_intervals_hold_every_true_rank_in_at_least_95_percent_of_families(step: float) -> None:
    levels = [step * number for number in range(8)]
    ranks = np.arange(8, 0, -1)
    held, width, num_rounds = 0, 0.0, 300
    for one in panels(num_rounds, levels, (3, 300), [0.2] * 8):
        low, high = rank_bounds(one, told_apart(one))
        held += int(((low <= ranks) & (ranks <= high)).all())
        width += float((high - low).mean()) / num_rounds
    assert 100 * held / num_rounds >= 95
    assert width > 6.9 if step == 0 else width < 6.9


def test_equal_entries_have_equal_chances_of_being_the_best() -> None:
    chances = np.array([list(best_chances(one).values()) for one in panels(400, [1.0, 1.0], (3, 300), [0.2] * 2)])
    assert chances.sum(axis=1) == pytest.approx(1)
    # The chance of one is spread over 0 to 1 from family to family; its mean is 0.5 within its standard error.
    assert chances[:, 0].mean() == pytest.approx(0.5, abs=0.04)


def test_chances_of_being_the_best_come_true_as_often_as_they_say() -> None:
    stream = np.random.default_rng(5)
    said, best = [], []
    for _ in range(800):
        levels = list(1.0 + 0.25 * stream.normal(size=4))
        (one,) = panels(1, levels, (3, 300), [0.15] * 4, seed=int(stream.integers(1 << 31)))
        said += list(best_chances(one).values())
        best += [level == max(levels) for level in levels]
    chances, came_true = np.array(said), np.array(best)
    for low, high in itertools.pairwise((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.001)):
        chosen = (chances >= low) & (chances < high)
        assert chosen.sum() > 100
        assert came_true[chosen].mean() == pytest.approx(chances[chosen].mean(), abs=0.12)


def test_a_place_on_the_frontier_comes_true_as_often_as_it_says() -> None:
    stream = np.random.default_rng(6)
    said, on = [], []
    sizes = {"e0": 1.0, "e1": 2.0, "e2": 3.0}
    for _ in range(600):
        levels = list(1.0 + 0.25 * stream.normal(size=3))
        (one,) = panels(1, levels, (3, 300), [0.15] * 3, seed=int(stream.integers(1 << 31)))
        said += list(frontier_chances(one, sizes).values())
        on += [level >= max(levels[: place + 1]) for place, level in enumerate(levels)]
    chances, came_true = np.array(said), np.array(on)
    assert (chances[::3] == 1).all()
    for low, high in itertools.pairwise((0.0, 0.2, 0.5, 0.8, 1.0)):
        chosen = (chances >= low) & (chances < high)
        assert chosen.sum() > 50
        assert came_true[chosen].mean() == pytest.approx(chances[chosen].mean(), abs=0.12)


@pytest.mark.parametrize("step", [0.0, 0.3])
def test_the_band_of_the_frontier_holds_the_best_true_score(step: float) -> None:
    levels = [1.0 + step * number for number in range(6)]
    sizes = {f"e{number}": 10.0**number for number in range(6)}
    held, num_rounds = np.zeros(6), 300
    for one in panels(num_rounds, levels, (3, 300), [0.2] * 6):
        band = frontier_band(one, sizes)
        held += [step.low <= truth(level, 0.2) <= step.high for step, level in zip(band, levels, strict=True)]
    assert (100 * held / num_rounds >= 92).all()


@pytest.mark.parametrize(("num_seeds", "seed_spread"), [(3, 0.0), (5, 0.2)])
def test_the_smallest_detectable_difference_is_found_in_about_80_percent(num_seeds: int, seed_spread: float) -> None:
    shape, spreads, num_rounds = (num_seeds, 300), [seed_spread] * 5, 300
    lifts = np.linspace(0, 3, 61)
    rises = [truth(1.0 + lift, seed_spread) - truth(1.0, seed_spread) for lift in lifts]
    # What the family calls detectable around a gap of that size.
    pilot = [np.median(detectable_from(one, 4)[:4]) for one in panels(100, [1.0] * 4 + [2.0], shape, spreads, seed=2)]
    lift = float(np.interp(np.mean(pilot), rises, lifts))
    trials = panels(num_rounds, [1.0] * 4 + [1.0 + lift], shape, spreads, seed=3)
    found = sum(told_apart(one)[4, :4].mean() for one in trials)
    assert 70 <= 100 * found / num_rounds <= 92
