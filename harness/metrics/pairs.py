"""Pairs: items that differ in one thing that must not matter, such as the gender of a pronoun (Winogender, AX-g).

Rudinger et al. 2018; Wang et al. 2019 (SuperGLUE). A prediction is a class id; a reference is
``{"label": class id, "pair": str}``, where the two items of a pair have equal ``pair``.

- ``accuracy``: over all items.
- ``parity``: share of items whose pair is given one class, whether or not it is right (SuperGLUE's gender parity score,
  as all pairs are equally large); an item without its partner is treated like no other and counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, mean_of

LABEL, PAIR = "label", "pair"


def _read(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Column, Column, list[str]]:
    """Return predictions, labels and the pair of each item (Any: checked here)."""
    for row, reference in enumerate(references):
        if not isinstance(reference, Mapping) or not {LABEL, PAIR} <= reference.keys():
            raise ValueError(f'reference {row} is {reference!r}; {{"{LABEL}": class id, "{PAIR}": text}} is needed')
    labels = np.array([one[LABEL] for one in references], np.float64)
    return np.asarray(predictions, np.float64), labels, [str(one[PAIR]) for one in references]


def _correct(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    predicted, labels, _ = _read(predictions, references)
    return {"correct": (predicted == labels).astype(np.float64)}


def _same(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    predicted, _, pairs = _read(predictions, references)
    codes = np.unique(pairs, return_inverse=True)[1]
    lowest, highest = np.full(codes.max() + 1, np.inf), np.full(codes.max() + 1, -np.inf)
    np.minimum.at(lowest, codes, predicted)
    np.maximum.at(highest, codes, predicted)
    return {"same": (lowest == highest)[codes].astype(np.float64)}


METRICS: dict[str, Metric] = {
    "accuracy": Metric("pairs.accuracy", _correct, mean_of("correct"), ("correct",), takes="label of a pair"),
    "parity": Metric("pairs.parity", _same, mean_of("same"), ("same",), takes="label of a pair"),
}
