"""Random numbers of the board: from raw Philox words, keyed by what they are for, the same on every build."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import special

from leaderboard.spread import Matrix


def uniforms(purpose: str, number: int) -> Matrix:
    """Return numbers strictly between 0 and 1; equal purposes give equal numbers, and fewer are the first of more."""
    key = int.from_bytes(hashlib.sha256(f"board: {purpose}".encode()).digest()[:16], "little")
    words = np.random.Philox(key=key).random_raw(number)
    # The upper 53 bits, in the middle of their step: NumPy's own transforms may change between versions.
    return (np.asarray(words >> np.uint64(11), dtype=np.float64) + 0.5) * 2.0**-53


def normals(purpose: str, num_draws: int, num_values: int) -> Matrix:
    """Return [num_draws, num_values] standard normal numbers."""
    return np.asarray(special.ndtri(uniforms(purpose, num_draws * num_values)).reshape(num_draws, num_values))


def chi_squares(purpose: str, degrees: float, num_draws: int) -> Matrix:
    """Return [num_draws] chi-squared numbers."""
    return np.asarray(special.chdtri(degrees, uniforms(purpose, num_draws)))
