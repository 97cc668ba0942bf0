"""What families lend: much where entries vary alike, nothing where they differ or are too few."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from leaderboard.prior import Prior, prior_of


def lent(squares: NDArray[np.float64], free: int = 2) -> Prior:
    return prior_of(squares, squares > 0, free)


def test_entries_that_vary_alike_lend_all_they_have() -> None:
    found = lent(np.array([1.0, 2.0, 0.5, 1.5, 1.0]))
    assert found.degrees == 6.0
    assert found.squares == pytest.approx([1.2] * 5)


def test_two_entries_lend_nothing() -> None:
    assert lent(np.array([1.0, 2.0])).degrees == 0
    assert prior_of(np.zeros(4), np.ones(4, dtype=bool), 2).degrees == 0


def test_what_no_seed_moves_neither_lends_nor_borrows() -> None:
    found = lent(np.array([0.0, 1.0, 2.0, 3.0]))
    assert found.degrees == 2.0
    assert found.squares == pytest.approx([0.0, 2.0, 2.0, 2.0])


@pytest.mark.parametrize("truth", [4.0, 12.0])
def test_degrees_are_those_of_the_law_that_variances_come_from(truth: float) -> None:
    stream = np.random.default_rng(2)
    variances = truth / stream.chisquare(truth, 4000)
    assert lent(variances * stream.chisquare(4, 4000) / 4, 4).degrees == pytest.approx(truth, rel=0.25)


def test_seeds_that_agree_by_luck_do_not_part_the_family() -> None:
    alike = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 1.2, 0.8, 1.1])
    every = np.ones(9, dtype=bool)
    lucky, luckier = (prior_of(np.append(alike, least), every, 2).degrees for least in (1e-3, 0.0))
    assert lucky == pytest.approx(luckier, rel=0.01)
    assert lucky > 3


def test_uneven_families_lend_little() -> None:
    assert lent(np.array([1e-3, 1e-3, 1e-3, 1.0, 1.0, 1.0, 1e3, 1e3])).degrees < 2
