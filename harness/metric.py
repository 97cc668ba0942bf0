"""The metric contract, in NumPy only: per-item rows of sufficient statistics, and the number that rows give.

A name such as ``accuracy`` is a metric of this file; ``squad.f1`` is the metric ``f1`` of ``harness/metrics/squad.py``.

``rows(predictions, references)`` is computed once when a run scores a task and is stored with it; ``score(rows,
weights)`` turns rows into the number. The evaluate modules, the board's intervals and the regression gate all call
the same two functions, so a number has one definition. ``weights`` are multiplicities: a bootstrap draw, or 0 for
what a jackknife leaves out; all ones gives the plain metric.

A metric that is not defined on its rows (a correlation with a constant) is NaN here and null in a record.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UnknownName

Column = NDArray[np.float64]
Rows = Mapping[str, Column]
"""Statistic name to one value per item; all columns are equally long."""
FOLDER = Path(__file__).resolve().parent / "metrics"


@dataclass(frozen=True)
class Metric:
    """One metric: what is kept per item, and how kept rows become a number."""

    name: str
    columns: Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]]
    """Predictions and references to the statistics of each item (Any: numbers, texts, or what the metric takes)."""
    formula: Callable[[Rows, Column], float]
    statistics: tuple[str, ...]
    lowest: float | None = 0.0
    """The smallest possible value; null where there is none."""
    takes: str = "numbers"
    """What predictions and references are: ``numbers`` (class ids, values), ``text`` against ``texts`` and the like; a
    key of ``tasks.metrics.module.FEATURES``."""
    higher_is_better: bool = True
    unit: str = "%"
    """How the number is shown, see ``MetricFacts``."""
    ceiling: float | None = 1.0
    """What a model without mistakes reaches, where that is the largest possible value."""

    def rows(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        """Return the sufficient statistics per item.

        Args:
            predictions: one per item.
            references: what each is scored against, in the same order.

        Raises:
            ValueError: if the lengths differ, there are no items, or a number is not finite.
            MissingPrerequisite: if the metric needs a program that is not here.
        """
        if len(predictions) != len(references):
            raise ValueError(
                f"{self.name}: {len(predictions)} predictions and {len(references)} references must be equally long"
            )
        if not len(predictions):
            raise ValueError(f"{self.name}: there are no items to score")
        try:
            return self.columns(predictions, references)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    def score(self, rows: Rows, weights: Column | None = None) -> float:
        """Return the number for rows, each counted ``weights`` times (once by default); NaN where it is undefined."""
        if weights is None:
            weights = np.ones_like(rows[self.statistics[0]])
        return float(self.formula(rows, weights)) if weights.sum() > 0 else float("nan")


def find(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        UnknownName: offering those that exist.
    """
    home, dot, rest = name.partition(".")
    if not dot:
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS)
        return METRICS[name]
    homes = [path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_")]
    if home not in homes:
        raise UnknownName("metric", name, [*METRICS, *(f"{one}.*" for one in homes)])
    found: Mapping[str, Metric] = importlib.import_module(f"harness.metrics.{home}").METRICS
    try:
        return found[rest]
    except KeyError as error:
        raise UnknownName("metric", name, (f"{home}.{one}" for one in found)) from error


def module_of(name: str) -> str:
    """Return the module that defines a metric, for provenance."""
    home, dot, _ = name.partition(".")
    return f"harness.metrics.{home}" if dot else __name__


def numbers(
    statistics: Callable[[Column, Column], dict[str, Column]],
) -> Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]]:
    """Return ``columns`` of a metric over class ids or real values, from what its statistics are in arrays."""

    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        predicted, actual = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)
        if predicted.shape != actual.shape or predicted.ndim != 1:
            raise ValueError(f"predictions {predicted.shape} and references {actual.shape} must be equally long lists")
        if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
            raise ValueError("predictions and references must be finite numbers")
        return statistics(predicted, actual)

    return columns


def mean_of(statistic: str) -> Callable[[Rows, Column], float]:
    """Return the formula of a metric that is the plain mean of one statistic."""
    return lambda rows, weights: float(weights @ rows[statistic] / weights.sum())


def _both(predicted: Column, actual: Column) -> dict[str, Column]:
    return {"predicted": predicted, "actual": actual}


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


def average(name: str, *parts: Metric) -> Metric:
    """Return the plain mean of several metrics, as GLUE reports MRPC, QQP and STS-B."""

    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        return {key: value for part in parts for key, value in part.columns(predictions, references).items()}

    def formula(rows: Rows, weights: Column) -> float:
        return float(np.mean([part.formula(rows, weights) for part in parts]))

    statistics = tuple(dict.fromkeys(key for part in parts for key in part.statistics))
    return Metric(name, columns, formula, statistics, parts[0].lowest, parts[0].takes)


def _correct(predicted: Column, actual: Column) -> dict[str, Column]:
    return {"correct": (predicted == actual).astype(np.float64)}


ACCURACY = Metric("accuracy", numbers(_correct), mean_of("correct"), ("correct",))
MATTHEWS = Metric("matthews", numbers(_both), _matthews, ("predicted", "actual"), lowest=-1.0)
F1 = Metric("f1", numbers(_f1_columns), _f1, ("true_positive", "false_positive", "false_negative"))
PEARSON = Metric("pearson", numbers(_both), _pearson, ("predicted", "actual"), lowest=-1.0)
SPEARMAN = Metric("spearman", numbers(_both), _spearman, ("predicted", "actual"), lowest=-1.0)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        ACCURACY,
        MATTHEWS,
        F1,
        PEARSON,
        SPEARMAN,
        average("accuracy_and_f1", ACCURACY, F1),
        average("pearson_and_spearman", PEARSON, SPEARMAN),
    )
}
"""The metrics of class ids and real values by name; one whose only statistic is ``correct`` is a mean of independent
items, others are not."""
