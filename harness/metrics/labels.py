"""Labels: metrics over all classes alike, where ``harness.metric`` has those of class 1.

``macro_f1`` is the plain mean of the F1 of every class that is predicted or present; SuperGLUE reports it for
CommitmentBank beside accuracy, and averages both (Wang et al. 2019).
"""

from __future__ import annotations

import numpy as np

from harness.metric import ACCURACY, Column, Metric, Rows, average, numbers


def _both(predicted: Column, actual: Column) -> dict[str, Column]:
    return {"predicted": predicted, "actual": actual}


def _macro_f1(rows: Rows, weights: Column) -> float:
    classes, codes = np.unique(np.concatenate([rows["predicted"], rows["actual"]]), return_inverse=True)
    predicted, actual = codes.reshape(2, -1)
    by_prediction = np.bincount(predicted, weights, classes.size)
    by_reference = np.bincount(actual, weights, classes.size)
    hits = np.bincount(actual, weights * (predicted == actual), classes.size)
    there = by_prediction + by_reference > 0  # a class whose items all have weight 0 is not there
    return float(np.mean(2 * hits[there] / (by_prediction + by_reference)[there]))


MACRO_F1 = Metric("labels.macro_f1", numbers(_both), _macro_f1, ("predicted", "actual"))

METRICS: dict[str, Metric] = {
    "macro_f1": MACRO_F1,
    "accuracy_and_macro_f1": average("labels.accuracy_and_macro_f1", ACCURACY, MACRO_F1),
}
