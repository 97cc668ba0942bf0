"""What the metrics of texts share: reading what came, and the normalisation of the SQuAD family."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


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


def bare(text: str) -> str:
    """Return a text as the SQuAD family compares it: lower case, no ASCII punctuation, no articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def token_f1(predicted: Sequence[str], actual: Sequence[str]) -> float:
    """Return the F1 of two bags of tokens, 2 |P & A| / (|P| + |A|); 0 where they share none."""
    shared = (Counter(predicted) & Counter(actual)).total()
    return 2 * shared / (len(predicted) + len(actual)) if shared else 0.0


def ngrams(tokens: Sequence[str], order: int) -> Iterator[tuple[str, ...]]:
    """Yield every run of ``order`` neighbouring tokens."""
    return (tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))
