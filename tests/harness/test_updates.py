"""Sparse updates are known by what a method tells, whatever its name."""

from __future__ import annotations

from harness import registry
from harness.updates import SparseUpdates


def test_methods_that_tell_what_their_updates_take_are_known_by_it() -> None:
    telling = {name for name in registry.methods() if isinstance(registry.load_method(name)(), SparseUpdates)}
    assert telling == {"sparse_update"}
