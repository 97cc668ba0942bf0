"""Mean: the plain mean of a number that somebody else computed per item, such as lm-eval's ``acc_norm``.

``mean.acc_norm`` is the mean of the statistic ``acc_norm``; any name is one. The prediction is the number itself, and
the reference says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, mean_of


class _AnyName(dict[str, Metric]):
    def __missing__(self, name: str) -> Metric:
        if not name.isidentifier():
            raise KeyError(name)

        def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
            del references
            return {name: np.asarray(predictions, dtype=np.float64)}

        return Metric(f"mean.{name}", columns, mean_of(name), (name,), lowest=None, takes="given")


METRICS = _AnyName()
