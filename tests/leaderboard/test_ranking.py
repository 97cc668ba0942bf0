"""Ranks: letters that mean what they say, rank intervals that follow from the verdicts, chances that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from leaderboard.compare import told_apart
from leaderboard.ranking import MOST_LETTERED, Ranking, letter, letter_groups, rank
from leaderboard.statistics import mean_interval
from tests.leaderboard.simulated import answers, entries, panel


def made(levels: list[float], seeds: int = 3, items: int = 300) -> NDArray[np.float64]:
    return np.asarray(answers(np.random.default_rng(7), 1, levels, (seeds, items), [0.1] * len(levels))[0])


def ranked(units: NDArray[np.float64], higher: bool = True) -> Ranking:
    found = rank(entries(units), higher)
    assert found is not None
    return found


def symmetric(size: int, pairs: set[tuple[int, int]]) -> NDArray[np.bool_]:
    apart = np.zeros((size, size), dtype=bool)
    for one, other in pairs:
        if one != other and max(one, other) < size:
            apart[one, other] = apart[other, one] = True
    return apart


@given(st.integers(1, 9), st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8))))
def test_two_share_a_letter_if_and_only_if_they_are_not_told_apart(size: int, pairs: set[tuple[int, int]]) -> None:
    apart = symmetric(size, pairs)
    letters = letter_groups(apart)
    for one in range(size):
        assert letters[one]
        for other in range(size):
            shared = bool(set(letters[one]) & set(letters[other]))
            assert shared == (one == other or not apart[one, other])


def test_letters_by_hand() -> None:
    # a and b alike, b and c alike, a and c not; d apart from all.
    apart = symmetric(4, {(0, 2), (0, 3), (1, 3), (2, 3)})
    assert letter_groups(apart) == [("a",), ("a", "b"), ("b",), ("c",)]
    assert letter_groups(symmetric(3, set())) == [("a",)] * 3


def test_letters_go_on_after_z() -> None:
    assert [letter(number) for number in (0, 25, 26, 51, 52, 701, 702)] == ["a", "z", "aa", "az", "ba", "zz", "aaa"]


def test_places_follow_from_the_verdicts() -> None:
    units = made([0.0, 0.1, 1.2, 1.3, 3.5])
    found, apart = ranked(units), told_apart(panel(units))
    names = [place.name for place in found.places]
    means = units.mean(axis=(1, 2))
    assert names == [f"e{number}" for number in np.argsort(-means)]
    for place in found.places:
        mine = int(place.name[1])
        better = sum(apart[mine, other] and means[other] > means[mine] for other in range(5))
        worse = sum(apart[mine, other] and means[other] < means[mine] for other in range(5))
        assert (place.rank_low, place.rank_high) == (1 + better, 5 - worse)
        best = found.places[0]
        assert place.below_best == (not set(place.letters) & set(best.letters))
        assert place.below_best == (place.rank_low > 1 and apart[mine, int(best.name[1])])
    assert found.places[0].gap is None
    assert found.places[0].detectable is None
    assert sum(place.best_chance for place in found.places) == pytest.approx(1)
    assert found.places[-1].below_best


def test_gaps_are_what_the_family_sees_and_detectable_exceeds_what_was_found() -> None:
    found = ranked(made([0.0, 0.2, 0.4, 3.0]))
    for place in found.places[1:]:
        assert place.gap is not None
        assert place.gap.estimate == pytest.approx(found.places[0].mean - place.mean)
        assert place.detectable is not None
        assert place.gap.error is not None
        assert place.detectable > 2 * place.gap.error
        assert place.below_best or place.gap.estimate < place.detectable
    assert found.detectable is not None


def test_lower_may_be_better() -> None:
    up, down = ranked(made([0.0, 3.0])), ranked(made([0.0, 3.0]), higher=False)
    assert (up.best, down.best) == ("e1", "e0")
    assert down.places[0].best_chance > 0.99
    assert (down.places[0].rank_low, down.places[0].rank_high) == (1, 1)
    assert (down.places[1].rank_low, down.places[1].rank_high) == (2, 2)
    assert down.place("e1") == down.places[1]
    assert down.place("e9") is None


def test_equal_entries_share_everything() -> None:
    units = made([0.5, 0.5])
    units[1] = units[0]
    found = ranked(units)
    assert [place.letters for place in found.places] == [("a",), ("a",)]
    assert [place.best_chance for place in found.places] == [0.5, 0.5]
    assert [(place.rank_low, place.rank_high) for place in found.places] == [(1, 2), (1, 2)]
    assert found.detectable is None


def test_one_seed_or_one_entry_ranks_nothing() -> None:
    assert rank(entries(made([0.0, 1.0], seeds=1)), True) is None
    assert rank(entries(made([0.0])), True) is None


def test_large_families_have_ranks_and_no_letters() -> None:
    found = ranked(made([0.0] * MOST_LETTERED + [4.0], items=60))
    assert all(place.letters == () for place in found.places)
    assert found.places[0].name == f"e{MOST_LETTERED}"
    assert sum(place.below_best for place in found.places) > MOST_LETTERED / 2


def test_mean_intervals_and_ranks_speak_of_the_same_mean() -> None:
    units = made([0.0, 1.0])
    assert ranked(units).places[0].mean == pytest.approx(mean_interval(units[1]).estimate)
