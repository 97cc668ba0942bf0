"""The metric contract, in NumPy only: per-item rows of sufficient statistics, and the number that rows give.

``rows(predictions, references)`` is computed once when a run scores a task and is stored with it; ``score(rows,
weights)`` turns rows into the number. The evaluate modules, the board's intervals and the regression gate all call
the same two functions, so a number has one definition. ``weights`` are multiplicities: a bootstrap draw, or 0 for
what a jackknife leaves out; all ones gives the plain metric.

A metric that is not defined on its rows (a correlation with a constant) is NaN here and null in a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Rows = Mapping[str, Column]
"""Statistic name to one value per item; all columns are equally long."""


@dataclass(frozen=True)
class Metric:
    """One metric: what is kept per item, and how kept rows become a number."""

    name: str
    columns: Callable[[Column, Column], dict[str, Column]]
    formula: Callable[[Rows, Column], float]
    statistics: tuple[str, ...]

    def rows(self, predictions: Sequence[float] | Column, references: Sequence[float] | Column) -> dict[str, Column]:
        """Return the sufficient statistics per item.

        Args:
            predictions: n class ids, or n real values of a regression.
            references: n true class ids or values, in the same order.

        Raises:
            ValueError: if the lengths differ, there are no items, or a value is not finite.
        """
        predicted = np.asarray(predictions, dtype=np.float64)
        actual = np.asarray(references, dtype=np.float64)
        if predicted.shape != actual.shape or predicted.ndim != 1:
            raise ValueError(
                f"{self.name}: predictions {predicted.shape} and references {actual.shape} must be equally long lists"
            )
        if not predicted.size:
            raise ValueError(f"{self.name}: there are no items to score")
        if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
            raise ValueError(f"{self.name}: predictions and references must be finite numbers")
        return self.columns(predicted, actual)

    def score(self, rows: Rows, weights: Column | None = None) -> float:
        """Return the number for rows, each counted ``weights`` times (once by default); NaN where it is undefined."""
        if weights is None:
            weights = np.ones_like(rows[self.statistics[0]])
        return float(self.formula(rows, weights)) if weights.sum() > 0 else float("nan")


def _both(predicted: Column, actual: Column) -> dict[str, Column]:
    return {"predicted": predicted, "actual": actual}


def _mean_correct(rows: Rows, weights: Column) -> float:
    return float(weights @ rows["correct"] / weights.sum())


def _matthews(rows: Rows, weights: Column) -> float:
    """Multi-class Matthews correlation (Gorodkin 2004); 0 where one side is constant, as is usual in the field."""
    classes, codes = np.unique(np.concatenate([rows["predicted"], rows["actual"]]), return_inverse=True)
    predicted, actual = codes.reshape(2, -1)
    by_prediction = np.bincount(predicted, weights, classes.size)
    by_reference = np.bincount(actual, weights, classes.size)
    correct, total = weights @ (predicted == actual), weights.sum()
    spread = (total**2 - by_prediction @ by_prediction) * (total**2 - by_reference @ by_reference)
    return float((correct * total - by_prediction @ by_reference) / np.sqrt(spread)) if spread > 0 else 0.0


def _f1_columns(predicted: Column, actual: Column) -> dict[str, Column]:
    positive, true = predicted == 1, actual == 1
    return {
        "true_positive": (positive & true).astype(np.float64),
        "false_positive": (positive & ~true).astype(np.float64),
        "false_negative": (~positive & true).astype(np.float64),
    }


def _f1(rows: Rows, weights: Column) -> float:
    """F1 of class 1: 2 TP / (2 TP + FP + FN); 0 where class 1 is neither predicted nor present."""
    hits, false_alarms, misses = (
        weights @ rows[name] for name in ("true_positive", "false_positive", "false_negative")
    )
    total = 2 * hits + false_alarms + misses
    return float(2 * hits / total) if total > 0 else 0.0


def _correlation(first: Column, second: Column, weights: Column) -> float:
    counted = weights > 0
    if np.ptp(first[counted]) == 0 or np.ptp(second[counted]) == 0:
        return float("nan")
    total = weights.sum()
    first, second = first - weights @ first / total, second - weights @ second / total
    spread = np.sqrt((weights @ first**2) * (weights @ second**2))
    return float(np.clip(weights @ (first * second) / spread, -1.0, 1.0)) if spread > 0 else float("nan")


def _pearson(rows: Rows, weights: Column) -> float:
    return _correlation(rows["predicted"], rows["actual"], weights)


def _ranks(values: Column, weights: Column) -> Column:
    """Mid-ranks of a sample in which each value occurs ``weights`` times; ties share their mean rank."""
    _, codes = np.unique(values, return_inverse=True)
    mass = np.bincount(codes, weights)
    return (np.cumsum(mass) - mass + (mass + 1) / 2)[codes]


def _spearman(rows: Rows, weights: Column) -> float:
    return _correlation(_ranks(rows["predicted"], weights), _ranks(rows["actual"], weights), weights)


def _mean_of(name: str, *parts: Metric) -> Metric:
    """The plain mean of several metrics, as GLUE reports MRPC, QQP and STS-B."""

    def columns(predicted: Column, actual: Column) -> dict[str, Column]:
        return {key: value for part in parts for key, value in part.columns(predicted, actual).items()}

    def formula(rows: Rows, weights: Column) -> float:
        return float(np.mean([part.formula(rows, weights) for part in parts]))

    return Metric(name, columns, formula, tuple(dict.fromkeys(key for part in parts for key in part.statistics)))


ACCURACY = Metric("accuracy", lambda p, a: {"correct": (p == a).astype(np.float64)}, _mean_correct, ("correct",))
MATTHEWS = Metric("matthews", _both, _matthews, ("predicted", "actual"))
F1 = Metric("f1", _f1_columns, _f1, ("true_positive", "false_positive", "false_negative"))
PEARSON = Metric("pearson", _both, _pearson, ("predicted", "actual"))
SPEARMAN = Metric("spearman", _both, _spearman, ("predicted", "actual"))

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        ACCURACY,
        MATTHEWS,
        F1,
        PEARSON,
        SPEARMAN,
        _mean_of("accuracy_and_f1", ACCURACY, F1),
        _mean_of("pearson_and_spearman", PEARSON, SPEARMAN),
    )
}
"""Every metric by name; one whose only statistic is ``correct`` is a mean of independent items, others are not."""
