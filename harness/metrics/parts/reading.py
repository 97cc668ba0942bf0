"""Reading what came: predictions and references that are texts, or the row of the first that is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def read_texts(values: Sequence[Any]) -> list[str]:
    """Return predictions that are one text each (Any: checked here).

    Raises:
        ValueError: for the first that is no text.
    """
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"prediction {row} is {value!r}, of type {type(value).__name__}; a text is needed")
    return list(values)


def read_references(values: Sequence[Any], may_be_empty: bool = False) -> list[list[str]]:
    """Return references that are a list of texts each, of which any is right (Any: checked here).

    Raises:
        ValueError: for the first that is no list of texts, or is empty where that means nothing.
    """
    for row, value in enumerate(values):
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"reference {row} is {value!r}; a list of texts is needed")
        if not value and not may_be_empty:
            raise ValueError(f"reference {row} is an empty list; give at least one text that is right")
    return [list(value) for value in values]
