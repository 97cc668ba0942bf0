"""ReCoRD: exact match and token F1 of the chosen entity against the best of the right ones, as its official script.

Zhang et al. 2018; Wang et al. 2019 (SuperGLUE). A prediction is the entity's text, a reference the list of the texts
that are right. Normalised as SQuAD's answers. ``f1_and_em`` is the mean of both, which enters the SuperGLUE average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, average, mean_of
from harness.metrics.parts.reading import read_references, read_texts
from harness.metrics.squad import best_token_f1, exact


def _em(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    pairs = zip(read_texts(predictions), read_references(references), strict=True)
    return {"record_em": np.array([exact(*pair) for pair in pairs], np.float64)}


def _f1(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    pairs = zip(read_texts(predictions), read_references(references), strict=True)
    return {"record_f1": np.array([best_token_f1(*pair) for pair in pairs], np.float64)}


EM = Metric("record.em", _em, mean_of("record_em"), ("record_em",), takes="text")
F1 = Metric("record.f1", _f1, mean_of("record_f1"), ("record_f1",), takes="text")

METRICS: dict[str, Metric] = {"em": EM, "f1": F1, "f1_and_em": average("record.f1_and_em", F1, EM)}
