"""Random numbers are the same on every build, and are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from leaderboard.random import chi_squares, normals, uniforms


def test_the_same_purpose_gives_the_same_numbers_for_ever() -> None:
    assert uniforms("a test", 3).tolist() == [0.29742080556324807, 0.3686687988074692, 0.08452010221473644]
    assert uniforms("a test", 2).tolist() == uniforms("a test", 3)[:2].tolist()
    assert not np.isin(uniforms("another", 100), uniforms("a test", 100)).any()


@pytest.mark.parametrize(
    ("numbers", "law"),
    [
        (uniforms("law", 20_000), stats.uniform()),
        (normals("law", 5_000, 4).ravel(), stats.norm()),
        (chi_squares("law", 2.5, 20_000), stats.chi2(2.5)),
    ],
    ids=["uniform", "normal", "chi-squared"],
)
def test_numbers_follow_their_law(numbers: np.ndarray, law: stats.rv_continuous) -> None:
    assert stats.kstest(numbers, law.cdf).pvalue > 0.01
    assert np.isfinite(numbers).all()
