"""What coco-caption measures of a text against several: ROUGE-L and CIDEr, over tokens as the Penn Treebank has them.

Chen et al. 2015 (the server), Lin 2004 (ROUGE-L), Vedantam, Zitnick and Parikh 2015 (CIDEr-D). The official scripts
run Stanford's tokenizer, a Java program; ``tokens`` makes the same choices for the English of restaurant and fact
descriptions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.metric import Column
from harness.metrics.parts.texts import ngrams

BETA = 1.2
"""How much more recall weighs than precision in ROUGE-L."""
ORDERS = 4
"""CIDEr counts n-grams up to this length."""
SIGMA = 6.0
"""Width of CIDEr-D's penalty on lengths that differ."""

_DROPPED = {'"', "–", "—", "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
_RENAMED = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "£": "#", "€": "$"}
_SPLIT_WORDS = {"cannot": ["can", "not"], "gonna": ["gon", "na"], "wanna": ["wan", "na"], "gotta": ["got", "ta"]}
_TOKEN = re.compile(
    r"""
      (?:[a-z]\.){2,}                                  # e.g., u.s.
    | (?:st|mr|mrs|ms|dr|jr|rd|ave|etc)\.(?=\W+\w) | \w+\.(?=,)
    | d'oeuvres?
    | \w+(?=n['’]t\b) | n['’]t\b                        # do n't
    | ['’](?:s|re|ve|ll|d|m)\b                          # it 's
    | \d+(?:[.,:/-]\d+)*\w*(?:-\w+)*                    # 3.5, 1,000, 20-25, 3rd, 5-star
    | (?<=[£$€])-\d+\b
    | \w+(?:[-/&]\w+)*                                  # family-friendly, prices/costs
    | \.{3} | -- | \S
    """,
    re.VERBOSE,
)


def tokens(text: str) -> list[str]:
    """Return a text's tokens in lower case, without punctuation."""
    found: list[str] = []
    for token in _TOKEN.findall(text.lower()):
        found += _SPLIT_WORDS.get(token, [_RENAMED.get(token, token)])
    return [token for token in found if token not in _DROPPED]


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return its length, by one big-integer addition per token of ``second`` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    row = full = (1 << len(first)) - 1
    for token in second:
        here = row & places.get(token, 0)
        row = (row + here) | (row - here)
    return len(first) - (row & full).bit_count()


def rouge_l(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the F of the best precision and the best recall over the references, recall weighing ``BETA`` squared."""
    # An empty text counts as one token that only another empty text shares, as in the official script.
    predicted, references = predicted or [""], [one or [""] for one in references]
    shared = [longest_common_subsequence(one, predicted) for one in references]
    precision = max(shared) / len(predicted)
    recall = max(length / len(one) for length, one in zip(shared, references, strict=True))
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision * recall else 0.0


class _Vector(NamedTuple):
    """A text as CIDEr sees it: weighted n-grams and their norm for each length, and the number of bigrams."""

    weights: list[dict[tuple[str, ...], float]]
    norms: list[float]
    bigrams: int


def cider(predicted: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> Column:
    """Return CIDEr-D of each item, from 0 to 10: its mean similarity to the references, in tf-idf weighted n-grams.

    An n-gram's document frequency is the number of items that have it in a reference, over all items given here; with
    one item alone every weight, and so the score, is 0.
    """
    frequency = Counter(
        ngram
        for texts in references
        for ngram in {ngram for text in texts for order in range(1, ORDERS + 1) for ngram in ngrams(text, order)}
    )
    num_items = math.log(len(references))

    def vector(text: Sequence[str]) -> _Vector:
        counts = [Counter(ngrams(text, order)) for order in range(1, ORDERS + 1)]
        weights = [
            {ngram: count * (num_items - math.log(max(1, frequency[ngram]))) for ngram, count in one.items()}
            for one in counts
        ]
        return _Vector(weights, [math.sqrt(sum(w * w for w in one.values())) for one in weights], counts[1].total())

    scores = []
    for text, others in zip(predicted, references, strict=True):
        ours = vector(text)
        scores.append(10 * sum(_similarity(ours, vector(other)) for other in others) / len(others))
    return np.array(scores, np.float64)


def _similarity(ours: _Vector, theirs: _Vector) -> float:
    """Return the mean over n-gram lengths of the clipped cosine, times the penalty on unequal numbers of bigrams."""
    total = 0.0
    for order in range(ORDERS):
        mine, other = ours.weights[order], theirs.weights[order]
        norm = ours.norms[order] * theirs.norms[order]
        if norm:
            total += sum(min(mine[key], other[key]) * other[key] for key in mine.keys() & other.keys()) / norm
    return total / ORDERS * math.exp(-((ours.bigrams - theirs.bigrams) ** 2) / (2 * SIGMA**2))
