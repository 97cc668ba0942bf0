"""Loading ``evaluate`` without the libraries of its evaluators, which no run asks for and each worker would pay for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

UNUSED = ("transformers.pipelines", "scipy.stats")
"""Half of what a worker would load, two seconds of a processor; ``evaluate`` does without either."""


@contextmanager
def without(names: Sequence[str]) -> Iterator[None]:
    """Let what is imported inside find some modules missing that are not loaded yet; later they can be loaded.

    For a process of our own: what was imported inside believes for good that they are missing.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # no module: Python then says that there is none
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
