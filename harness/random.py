"""Named random streams that stay the same for ever.

Draws that are part of a definition (masks, subsamples, data order, generated tasks) come from the raw 64-bit words of
a Philox counter generator keyed by ``(seed, purpose, name)``. NumPy guarantees the words of a bit generator across
versions, but not what its distributions make of them, so the few transformations needed are written out here.
They run on the host, so they are equal on every device.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def words(count: int, *, seed: int, purpose: str, name: str = "") -> NDArray[np.uint64]:
    """Return ``count`` raw 64-bit words of one stream; a longer draw starts with a shorter one.

    Raises:
        ValueError: if ``purpose`` has a slash, which separates the parts of the key: ``a/b`` with name ``c`` would be
            the same stream as ``a`` with name ``b/c``. A name may have slashes.
    """
    if "/" in purpose:
        raise ValueError(f"the purpose of a stream has no slash, got {purpose!r}; put what follows it into the name")
    key = np.frombuffer(hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest(), dtype="<u8")
    return np.random.Philox(key=key.astype(np.uint64)).random_raw(count).astype(np.uint64, copy=False)


def uniforms(count: int, *, seed: int, purpose: str, name: str = "") -> NDArray[np.float64]:
    """Return ``count`` floats in [0, 1) with 53 random bits each."""
    bits: NDArray[np.uint64] = words(count, seed=seed, purpose=purpose, name=name) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def permutation(size: int, *, seed: int, purpose: str, name: str = "") -> NDArray[np.int64]:
    """Return a permutation of ``range(size)``: the order that sorts the stream's words."""
    return np.argsort(words(size, seed=seed, purpose=purpose, name=name), kind="stable")


def sample(size: int, count: int, *, seed: int, purpose: str, name: str = "") -> NDArray[np.int64]:
    """Return exactly ``count`` distinct indices of ``range(size)``, ascending, every subset equally likely.

    The indices are those of the ``count`` smallest words (ties by index), so samples of one stream are nested:
    a smaller count gives a subset of a larger one.

    Raises:
        ValueError: if ``count`` is negative or larger than ``size``.
    """
    if not 0 <= count <= size:
        raise ValueError(f"cannot draw {count} of {size} indices; allowed are 0 to {size}")
    drawn = words(size, seed=seed, purpose=purpose, name=name)
    if count in (0, size):
        return np.arange(count, dtype=np.int64)
    threshold = np.partition(drawn, count - 1)[count - 1]
    below = np.flatnonzero(drawn < threshold)
    tied = np.flatnonzero(drawn == threshold)[: count - below.size]
    return np.sort(np.concatenate([below, tied])).astype(np.int64)


@dataclass(frozen=True)
class Streams:
    """The streams of one run: ``seed`` governs init, mask, order and dropout, each independently of the others."""

    seed: int

    def integer(self, purpose: str, name: str = "") -> int:
        """Return a 63-bit integer to seed a library's own generator with (initial values, dropout)."""
        return int(words(1, seed=self.seed, purpose=purpose, name=name)[0] >> np.uint64(1))

    def uniforms(self, count: int, purpose: str, name: str = "") -> NDArray[np.float64]:
        """Return ``count`` floats in [0, 1) of this run's stream."""
        return uniforms(count, seed=self.seed, purpose=purpose, name=name)

    def permutation(self, size: int, purpose: str, name: str = "") -> NDArray[np.int64]:
        """Return a permutation of ``range(size)`` of this run's stream."""
        return permutation(size, seed=self.seed, purpose=purpose, name=name)

    def sample(self, size: int, count: int, purpose: str, name: str = "") -> NDArray[np.int64]:
        """Return exactly ``count`` distinct ascending indices of ``range(size)`` of this run's stream."""
        return sample(size, count, seed=self.seed, purpose=purpose, name=name)
