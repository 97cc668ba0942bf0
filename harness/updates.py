"""Sparse updates: what a method tells whose changes travel, between ranks or into checkpoints.

The loop and the record know such a method by this, whatever its name.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class SparseUpdates(Protocol):
    """A method that knows how few bytes its updates take."""

    @property
    def ranks(self) -> int:
        """Ranks that train apart from each other and merge now and then; with one, ranks share every step as ever."""
        ...

    def sent_bytes(self) -> int | None:
        """Return the bytes that this rank gave to the others so far; none where it trains alone."""
        ...

    def checkpoint_bytes(self) -> int:
        """Return the bytes of what changed in an epoch after the first: what its checkpoint adds to the last one."""
        ...
