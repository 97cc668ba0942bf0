"""Mean: the plain mean of a number that somebody else computed per item, such as lm-eval's ``acc_norm``.

``mean.acc_norm`` is the mean of the statistic ``acc_norm``; any name is one. The prediction is the number itself, or a
mapping of names to numbers that has this one, and the reference says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, mean_of

GIVEN = "given"
"""What a metric takes whose prediction is what was computed of an item, and whose reference says nothing."""


def number(prediction: Any, name: str) -> float:
    """Return what a prediction says of one name (Any: a number, or a mapping that has the name).

    Raises:
        ValueError: if it does not say it, or says no number.
    """
    value = prediction
    if isinstance(prediction, Mapping):
        if name not in prediction:
            raise ValueError(f"the predictions have {', '.join(sorted(map(str, prediction))) or 'nothing'}, no {name}")
        value = prediction[name]
    if not isinstance(value, int | float | np.number | np.bool_):
        raise ValueError(f"{name} is {type(value).__name__} for an item and no number, so it has no mean")
    return float(value)


class _AnyName(dict[str, Metric]):
    def __missing__(self, name: str) -> Metric:
        if not name.isidentifier():
            raise KeyError(name)

        def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
            del references
            return {name: np.array([number(one, name) for one in predictions], dtype=np.float64)}

        return Metric(f"mean.{name}", columns, mean_of(name), (name,), lowest=None, takes=GIVEN)


METRICS = _AnyName()
