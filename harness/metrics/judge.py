"""Judge: the mean rating of free answers, from 1 to 10, where a judge was asked.

A prediction is what is known of an answer by name: its ``rating``, NaN where the judge's words held none, and nothing
of that name where no judge was asked. Answers without a rating that can be read do not count, as in the original
grading; their number is the difference of ``rated`` to the number of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.errors import MissingPrerequisite
from harness.metric import Column, Metric, Rows

RATING = "rating"


def _columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    del references
    if not all(isinstance(one, Mapping) and RATING in one for one in predictions):
        raise MissingPrerequisite("not_applicable: no judge; set the option judge of prompt to a model or an endpoint")
    ratings = np.array([one[RATING] for one in predictions], np.float64)
    rated = np.isfinite(ratings)
    return {RATING: np.where(rated, ratings, 0.0), "rated": rated.astype(np.float64)}


def _mean(rows: Rows, weights: Column) -> float:
    counted = weights @ rows["rated"]
    return float(weights @ rows[RATING] / counted) if counted > 0 else float("nan")


METRICS: dict[str, Metric] = {
    RATING: Metric("judge.rating", _columns, _mean, (RATING, "rated"), lowest=1.0, takes="given", unit="", ceiling=10.0)
}
