"""What the metrics of texts share: the normalisation of the SQuAD family, the overlap of tokens, and n-grams."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


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
