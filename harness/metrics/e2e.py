"""E2E: the five metrics of the E2E challenge, over all references of a meaning representation together.

Dušek, Novikova and Rieser 2020. A prediction is a text, a reference the list of the meaning representation's texts; one
item per meaning representation. As the challenge's scripts: ``bleu`` and ``nist`` on mteval-v13a's tokens, ``rouge_l``,
``cider`` and ``meteor`` on tokens of the Penn Treebank without punctuation. Our tokens are Stanford's for all but 10 of
the data set's 49,789 different references. BLEU, ROUGE-L and METEOR go from 0 to 1, CIDEr to 10, NIST has no end.

NIST's information and CIDEr's document frequencies are those of all references scored together, and stay fixed when
items are resampled. METEOR needs Java.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, mean_of
from harness.metrics.parts import captions, mteval
from harness.metrics.parts.meteor import METEOR, meteor, meteor_columns
from harness.metrics.parts.reading import read_references, read_texts


def _mteval(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[list[list[str]], list[list[list[str]]]]:
    texts, others = read_texts(predictions), read_references(references)
    return [mteval.tokens(text) for text in texts], [[mteval.tokens(one) for one in some] for some in others]


def _caption(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[list[list[str]], list[list[list[str]]]]:
    texts, others = read_texts(predictions), read_references(references)
    return [captions.tokens(text) for text in texts], [[captions.tokens(one) for one in some] for some in others]


def _bleu(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    return mteval.bleu_columns(*_mteval(predictions, references))


def _nist(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    return mteval.nist_columns(*_mteval(predictions, references))


def _rouge_l(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    pairs = zip(*_caption(predictions, references), strict=True)
    return {"rouge_l": np.array([captions.rouge_l(*pair) for pair in pairs], np.float64)}


def _cider(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    return {"cider": captions.cider(*_caption(predictions, references))}


def _meteor(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    texts, others = _caption(predictions, references)
    return meteor_columns([" ".join(text) for text in texts], [[" ".join(one) for one in some] for some in others])


METRICS: dict[str, Metric] = {
    "bleu": Metric("e2e.bleu", _bleu, mteval.bleu, mteval.BLEU, takes="text"),
    "nist": Metric("e2e.nist", _nist, mteval.nist, mteval.NIST, takes="text", unit="", ceiling=None),
    "rouge_l": Metric("e2e.rouge_l", _rouge_l, mean_of("rouge_l"), ("rouge_l",), takes="text"),
    "cider": Metric("e2e.cider", _cider, mean_of("cider"), ("cider",), takes="text", unit="", ceiling=10.0),
    "meteor": Metric("e2e.meteor", _meteor, meteor, METEOR, takes="text"),
}
