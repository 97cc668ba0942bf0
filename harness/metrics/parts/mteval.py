"""BLEU and NIST as NIST's mteval-v13a computes them, kept as sums per item.

Papineni et al. 2002 (BLEU), Doddington 2002 (NIST). Lower case, mteval's own tokens, the closest reference's length for
BLEU's penalty and the mean one for NIST's. Where no n-gram of some length matches in all items together, BLEU takes
1/2, 1/4, ... matches (mteval's smoothing; sacrebleu's ``exp``); where there is none of some length, it is 0.

NIST weighs an n-gram by its information in all references of all items given together; a resampled NIST keeps these
weights.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.metric import Column, Rows
from harness.metrics.parts.texts import ngrams

Tokens = Sequence[str]
BLEU_ORDERS, NIST_ORDERS = 4, 5
NIST_BETA = -math.log(0.5) / math.log(1.5) ** 2
"""Makes the penalty a half where the output has two thirds of the references' length."""

BLEU = tuple(f"bleu_{part}_{order}" for part in ("match", "total") for order in range(1, BLEU_ORDERS + 1))
BLEU += ("bleu_reference_length",)
NIST = tuple(f"nist_{part}_{order}" for part in ("information", "total") for order in range(1, NIST_ORDERS + 1))
NIST += ("nist_reference_length",)

_ENTITIES = (("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SYMBOL = re.compile("([" + re.escape('!"#$%&()*+/:;<=>?@[\\]^_`{|}~') + "])")
_AFTER_NO_DIGIT = re.compile(r"([^0-9])([.,])")
_BEFORE_NO_DIGIT = re.compile(r"([.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")


def tokens(text: str) -> list[str]:
    """Return mteval-v13a's tokens of a text, in lower case."""
    for entity, stands_for in _ENTITIES:
        text = text.replace(entity, stands_for)
    text = _SYMBOL.sub(r" \1 ", f" {text} ")
    text = _AFTER_NO_DIGIT.sub(r"\1 \2 ", text)
    text = _BEFORE_NO_DIGIT.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).lower().split()


def _matches(predicted: Tokens, references: Sequence[Tokens], order: int) -> Counter[tuple[str, ...]]:
    """Return how often each n-gram of the prediction is met, at most as often as one reference has it."""
    most: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        most |= Counter(ngrams(reference, order))
    return Counter(ngrams(predicted, order)) & most


def bleu_columns(predicted: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> dict[str, Column]:
    """Return per item the matched and all n-grams of each length, and the length of the closest reference."""
    rows = []
    for text, others in zip(predicted, references, strict=True):
        matched = [_matches(text, others, order).total() for order in range(1, BLEU_ORDERS + 1)]
        closest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
        rows.append((*matched, *_totals(text, BLEU_ORDERS), closest))
    return dict(zip(BLEU, np.array(rows, np.float64).T, strict=True))


def nist_columns(predicted: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> dict[str, Column]:
    """Return per item the information of the matched n-grams, all n-grams, and the mean length of the references."""
    counts: Counter[tuple[str, ...]] = Counter()
    for reference in (one for others in references for one in others):
        counts[()] += len(reference)
        for order in range(1, NIST_ORDERS + 1):
            counts.update(ngrams(reference, order))
    rows = []
    for text, others in zip(predicted, references, strict=True):
        information = [
            sum(times * math.log2(counts[ngram[:-1]] / counts[ngram]) for ngram, times in matched.items())
            for matched in (_matches(text, others, order) for order in range(1, NIST_ORDERS + 1))
        ]
        rows.append((*information, *_totals(text, NIST_ORDERS), sum(map(len, others)) / len(others)))
    return dict(zip(NIST, np.array(rows, np.float64).T, strict=True))


def _totals(text: Tokens, orders: int) -> list[int]:
    return [max(0, len(text) - order) for order in range(orders)]


def _sums(rows: Rows, names: Sequence[str], weights: Column) -> NDArray[np.float64]:
    return np.array([weights @ rows[name] for name in names])


def bleu(rows: Rows, weights: Column) -> float:
    """Return BLEU from 0 to 1."""
    sums = _sums(rows, BLEU, weights)
    matched, total, length = sums[:BLEU_ORDERS], sums[BLEU_ORDERS:-1], sums[-1]
    if not (matched.any() and total.all()):
        return 0.0
    missed = matched == 0
    matched = np.where(missed, 0.5 ** np.cumsum(missed), matched)
    penalty = min(0.0, 1 - length / total[0])
    return float(np.exp(np.log(matched / total).mean() + penalty))


def nist(rows: Rows, weights: Column) -> float:
    """Return NIST, which is 0 or more and has no upper end."""
    sums = _sums(rows, NIST, weights)
    information, total, length = sums[:NIST_ORDERS], sums[NIST_ORDERS:-1], sums[-1]
    if not total[0]:
        return 0.0
    ratio = min(1.0, total[0] / length) if length else 1.0
    return float((information / np.maximum(total, 1)).sum() * math.exp(-NIST_BETA * math.log(ratio) ** 2))
