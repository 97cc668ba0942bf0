"""Duels: each pair as if it were computed alone."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metric import find
from leaderboard.duels import AT_ONCE, duels
from leaderboard.flips import Flips, flips
from leaderboard.statistics import Entry, paired_difference


def numbered(*entries: Entry) -> dict[int, Entry]:
    return dict(enumerate(entries))


REFERENCES = [float(number % 2) for number in range(80)]


def entry(wrong: float, seeds: int, key: int, metric: str = "accuracy", items: int = 80) -> Entry:
    found = find(metric)
    ids = tuple(f"item {number}" for number in range(items))
    rows = {}
    for seed in range(seeds):
        missed = np.random.default_rng([key, seed]).random(items) < wrong
        answers = [1 - value if miss else value for value, miss in zip(REFERENCES, missed, strict=False)]
        rows[seed] = found.rows(answers, REFERENCES[:items])
    return Entry(found, ids, ids, rows)


@pytest.mark.parametrize("metric", ["accuracy", "matthews", "f1"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_many_pairs_at_once_are_what_each_is_alone(metric: str, seeds: int) -> None:
    entries = [entry(0.1 + 0.02 * key, seeds, key, metric) for key in range(18)]
    pairs = [(first, second) for first in range(18) for second in range(first + 1, 18)]
    assert len(pairs) > AT_ONCE
    found = duels(dict(enumerate(entries)), pairs, higher_is_better=True)
    assert found.keys() == set(pairs)
    for first, second in pairs:
        alone, together = paired_difference(entries[first], entries[second]), found[first, second].difference
        assert alone.basis == together.basis
        assert (alone.num_seeds, alone.num_items) == (together.num_seeds, together.num_items)
        assert together[:3] == pytest.approx(alone[:3], rel=1e-9, abs=1e-12)
        assert together.p_value == pytest.approx(alone.p_value, rel=1e-6)


def test_items_are_won_by_their_mean_over_the_seeds() -> None:
    one, other = entry(0.3, 1, 1), entry(0.2, 1, 2)
    flipped = flips(one, other, 0, higher_is_better=True)
    assert isinstance(flipped, Flips)
    duel = duels(numbered(one, other), [(0, 1)], higher_is_better=True)[0, 1]
    assert (duel.won, duel.lost) == (len(flipped.won), len(flipped.lost))
    three = [entry(0.3, 3, 1), entry(0.2, 3, 2)]
    right = [sum(part.rows[seed]["correct"] for seed in range(3)) for part in three]
    duel = duels(dict(enumerate(three)), [(0, 1)], higher_is_better=True)[0, 1]
    assert (duel.won, duel.lost) == ((right[0] > right[1]).sum(), (right[0] < right[1]).sum())


def test_entries_with_other_seeds_or_items_meet_on_what_they_share() -> None:
    whole, part = entry(0.3, 3, 1), entry(0.1, 3, 2).part([0, 2], [f"item {number}" for number in range(40, 70)])
    duel = duels(numbered(whole, part), [(0, 1)], higher_is_better=True)[0, 1]
    alone = paired_difference(whole, part)
    assert duel.difference[:3] == pytest.approx(alone[:3])
    assert duel.difference[3:6] == alone[3:6]
    assert (duel.difference.num_seeds, duel.difference.num_items) == (2, 30)
    assert duel.won is not None
    apart = entry(0.1, 1, 2).part([0], ["item 0"])
    other = entry(0.1, 1, 2).part([0], ["item 1"])
    assert duels(numbered(apart, other), [(0, 1)], higher_is_better=True) == {}


def test_what_shows_no_spread_has_no_interval() -> None:
    one = entry(0.3, 3, 1)
    same = duels(numbered(one, one), [(0, 1)], higher_is_better=True)[0, 1]
    assert (same.difference.estimate, same.difference.low) == (0.0, None)
    assert same.difference.basis == "all items agree, so no spread is seen"
    assert (same.won, same.lost) == (0, 0)
    single = one.part([0, 1, 2], ["item 0"])
    assert duels(numbered(single, single), [(0, 1)], higher_is_better=True)[0, 1].difference.low is None
    # A correlation whose predictions are equal but for one item is undefined without that one.
    metric = find("pearson")
    ids = ("a", "b", "c")
    flat = Entry(metric, ids, ids, {0: metric.rows([1.0, 1.0, 2.0], [1.0, 2.0, 3.0])})
    sane = Entry(metric, ids, ids, {0: metric.rows([1.0, 2.5, 2.0], [1.0, 2.0, 3.0])})
    odd = duels(numbered(flat, sane), [(0, 1)], higher_is_better=True)[0, 1]
    assert odd.difference.basis == "the metric is undefined when some item is left out"
    assert odd.won is None
