"""Corpus: what DART and WebNLG are scored by: BLEU, TER, chrF++ and METEOR of a corpus, kept as sums per item.

Papineni et al. 2002, Snover et al. 2006, Popović 2017, Denkowski and Lavie 2014. A prediction is a text, a reference
the list of the texts that it is compared with. As the GPT-2 experiments of LoRA and PST do, texts are put in lower case
and split at every character that is no letter, digit or underscore, before anything is counted (``1,500`` gives three
tokens, ``don't`` too). The numbers are those of sacrebleu on texts prepared so, divided by 100:

- ``bleu``: sacrebleu's BLEU with the tokens ``13a``, smoothing ``exp``.
- ``ter``: edits and shifts per word of the mean reference, against the reference that needs fewest; less is better.
- ``chrf``: chrF++ (6 characters, 2 words, beta 2) against the best reference.
- ``meteor``: needs Java.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.metric import Column, Metric, Rows
from harness.metrics.parts import mteval
from harness.metrics.parts.meteor import METEOR, meteor, meteor_columns
from harness.metrics.parts.reading import read_references, read_texts
from harness.metrics.parts.texts import ngrams

CHARACTERS, WORDS = 6, 2
"""chrF++ counts n-grams of so many characters and words."""
BETA = 2
"""How much more recall weighs than precision in chrF++."""
CHRF = tuple(
    f"chrf_{part}_{unit}_{order}"
    for part in ("hypothesis", "reference", "match")
    for unit, most in (("characters", CHARACTERS), ("words", WORDS))
    for order in range(1, most + 1)
)
TER = ("ter_edits", "ter_reference_length")
_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_BREAK = re.compile(r"(\W)")


def prepared(text: str) -> str:
    """Return a text in lower case, every character that is no word's set apart."""
    return " ".join(" ".join(_BREAK.split(text.lower())).split())


def _read(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    texts, others = read_texts(predictions), read_references(references)
    return [prepared(text) for text in texts], [[prepared(one) for one in some] for some in others]


def _bleu(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    texts, others = _read(predictions, references)
    return mteval.bleu_columns(
        [mteval.tokens(text) for text in texts], [[mteval.tokens(one) for one in some] for some in others]
    )


def _meteor(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    return meteor_columns(*_read(predictions, references))


def _ter(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    from sacrebleu.metrics.ter import TER as SACREBLEU  # the board needs the formula alone

    scorer = SACREBLEU()
    found = [scorer.sentence_score(text, some) for text, some in zip(*_read(predictions, references), strict=True)]
    sums = np.array([(one.num_edits, one.ref_length) for one in found], np.float64)
    return dict(zip(TER, sums.T, strict=True))


def _ter_formula(rows: Rows, weights: Column) -> float:
    edits, length = (float(weights @ rows[name]) for name in TER)
    return edits / length if length else float(edits > 0)


def _units(text: str) -> list[Counter[Any]]:  # Any: characters, or tuples of words
    """Return the n-grams of a text: of characters without blanks, and of words whose outer punctuation is apart."""
    letters = "".join(text.split())
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in _PUNCTUATION:
            words += (word[:-1], word[-1])
        elif len(word) > 1 and word[0] in _PUNCTUATION:
            words += (word[0], word[1:])
        else:
            words.append(word)
    by_character = [
        Counter(letters[start : start + order] for start in range(len(letters) - order + 1))
        for order in range(1, CHARACTERS + 1)
    ]
    return by_character + [Counter(ngrams(words, order)) for order in range(1, WORDS + 1)]


def _chrf_of(sums: Column) -> float:
    """Return chrF++ of [3, orders] sums: F of the precision and recall that are means over the orders on both sides."""
    hypothesis, reference, match = sums
    there = (hypothesis > 0) & (reference > 0)
    if not there.any() or not match.any():
        return 0.0
    precision, recall = ((match[there] / whole[there]).mean() for whole in (hypothesis, reference))
    return float((1 + BETA**2) * precision * recall / (BETA**2 * precision + recall))


def _chrf(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    rows = []
    for text, others in zip(*_read(predictions, references), strict=True):
        ours = _units(text)
        candidates = []
        for theirs in map(_units, others):
            pairs = list(zip(ours, theirs, strict=True))
            # An order that the reference is too short for says nothing of the text.
            hypothesis = [mine.total() if other else 0 for mine, other in pairs]
            reference = [other.total() for _, other in pairs]
            match = [(mine & other).total() for mine, other in pairs]
            candidates.append(np.array([hypothesis, reference, match], np.float64))
        rows.append(max(candidates, key=_chrf_of).ravel())
    return dict(zip(CHRF, np.array(rows).T, strict=True))


def _chrf_formula(rows: Rows, weights: Column) -> float:
    return _chrf_of(np.array([weights @ rows[name] for name in CHRF]).reshape(3, -1))


def _metric(
    name: str,
    columns: Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]],
    formula: Callable[[Rows, Column], float],
    statistics: tuple[str, ...],
) -> Metric:
    """Return a metric whose statistics are told by name from those of E2E's, which has other tokens."""

    def prefixed(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        return {f"corpus_{key}": column for key, column in columns(predictions, references).items()}

    def of_prefixed(rows: Rows, weights: Column) -> float:
        return formula({key: rows[f"corpus_{key}"] for key in statistics}, weights)

    names = tuple(f"corpus_{key}" for key in statistics)
    return Metric(f"corpus.{name}", prefixed, of_prefixed, names, takes="text")


METRICS: dict[str, Metric] = {
    "bleu": _metric("bleu", _bleu, mteval.bleu, mteval.BLEU),
    "ter": replace(_metric("ter", _ter, _ter_formula, TER), higher_is_better=False, ceiling=None),
    "chrf": _metric("chrf", _chrf, _chrf_formula, CHRF),
    "meteor": _metric("meteor", _meteor, meteor, METEOR),
}
