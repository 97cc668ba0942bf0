"""lm: lm-eval's numbers that are no plain means, from the per-item values that its tasks give.

``lm.mcc`` puts the values ``mcc`` of the items together as lm-eval does by default; ``lm.f1:macro_f1`` says how. Every
statistic is that of one item, so a bootstrap or a jackknife can weigh it. Ways of putting items together that need more
than such statistics, or code of a task's own, are not here: the number is then null, and the record says why.

The values of an item are (right class, predicted class) for f1, macro_f1, matthews_corrcoef; (right class, probability
of each) for brier_score; a log-likelihood for perplexity, and (log-likelihood, words or bytes) for weighted_perplexity
and bits_per_byte; (reference texts, text) for bleu, chrf, chrf++ and ter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.errors import MissingPrerequisite
from harness.metric import METRICS as METRICS_OF_CLASSES
from harness.metric import Column, Metric, Rows, mean_of
from harness.metrics.mean import GIVEN

USUAL = {"f1": "f1", "mcc": "matthews_corrcoef", "perplexity": "perplexity", "brier_score": "brier_score"}
USUAL |= {"word_perplexity": "weighted_perplexity", "byte_perplexity": "weighted_perplexity"}
USUAL |= {"bits_per_byte": "bits_per_byte", "bleu": "bleu", "chrf": "chrf", "chrf++": "chrf++", "ter": "ter"}
"""How lm-eval puts the items of a metric together where the task does not say."""


class _Way(NamedTuple):
    """How the items of one metric are put together."""

    columns: Callable[[Sequence[Any]], dict[str, Column]]
    """The items' values to statistics (Any: as the way takes them)."""
    formula: Callable[[Rows, Column], float]
    statistics: tuple[str, ...]
    lowest: float | None = 0.0


def _classes(values: Sequence[Any]) -> dict[str, Column]:
    pairs = np.array([(int(right), int(said)) for right, said in values], dtype=np.float64)
    return {"actual": pairs[:, 0], "predicted": pairs[:, 1]}


def _f1_of(rows: Rows, weights: Column, label: int) -> float:
    actual, predicted = rows["actual"] == label, rows["predicted"] == label
    both, either = weights @ (actual & predicted), weights @ actual + weights @ predicted
    return float(2 * both / either) if either > 0 else 0.0


def _macro_f1(rows: Rows, weights: Column) -> float:
    """The mean F1 of the classes 0, 1 and 2 of CommitmentBank, those that do not occur included."""
    return float(np.mean([_f1_of(rows, weights, label) for label in range(3)]))


def _likelihood(values: Sequence[Any]) -> dict[str, Column]:
    return {"log_likelihood": np.array([float(value) for value in values])}


def _perplexity(rows: Rows, weights: Column) -> float:
    return float(np.exp(-mean_of("log_likelihood")(rows, weights)))


PER_UNIT = ("log_likelihood", "units")


def _weighted(values: Sequence[Any]) -> dict[str, Column]:
    pairs = np.array(values, dtype=np.float64)
    return {"log_likelihood": pairs[:, 0], "units": pairs[:, 1]}


def _per_unit(rows: Rows, weights: Column) -> float:
    return float(-(weights @ rows["log_likelihood"]) / (weights @ rows["units"]))


def _brier(values: Sequence[Any]) -> dict[str, Column]:
    """The squared distance of the probabilities to the right class's."""
    wrong = [np.sum((np.asarray(chances) - np.eye(len(chances))[int(right)]) ** 2) for right, chances in values]
    return {"squared_error": np.array(wrong, dtype=np.float64)}


def _corpus(name: str, count: int) -> _Way:
    """Return a corpus metric of sacrebleu: its sums over segments are statistics of segments, added up with weights."""
    sums = tuple(f"sum_{column:02}" for column in range(count))

    def segments(values: Sequence[Any]) -> dict[str, Column]:
        scorer = _scorer(name)
        texts = [text if isinstance(text, str) else text[0] for _, text in values]
        several = [[given] if isinstance(given, str) else list(given) for given, _ in values]
        # sacrebleu takes as many references of every text: those that there are, as lm-eval gives them to it.
        references = [list(column) for column in zip(*several, strict=False)]
        found = np.array(scorer._extract_corpus_statistics(texts, references), dtype=np.float64)
        return {sums[column]: found[:, column] for column in range(count)}

    def formula(rows: Rows, weights: Column) -> float:
        totals = [float(weights @ rows[one]) for one in sums]
        return float(_scorer(name)._compute_score_from_stats(totals).score)

    return _Way(segments, formula, sums)


def _scorer(name: str) -> Any:  # Any: sacrebleu's metrics, which have no common typed base
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if name == "bleu":
        return BLEU()
    return TER() if name == "ter" else CHRF(word_order=2 if name == "chrf++" else 0)


BY_CLASS = ("actual", "predicted")
WAYS = {
    "f1": _Way(_classes, lambda rows, weights: _f1_of(rows, weights, 1), BY_CLASS),
    "macro_f1": _Way(_classes, _macro_f1, BY_CLASS),
    "matthews_corrcoef": _Way(_classes, METRICS_OF_CLASSES["matthews"].formula, BY_CLASS, -1.0),
    "brier_score": _Way(_brier, mean_of("squared_error"), ("squared_error",)),
    "perplexity": _Way(_likelihood, _perplexity, ("log_likelihood",)),
    "weighted_perplexity": _Way(_weighted, lambda rows, weights: float(np.exp(_per_unit(rows, weights))), PER_UNIT),
    "bits_per_byte": _Way(_weighted, lambda rows, weights: float(_per_unit(rows, weights) / np.log(2)), PER_UNIT),
    **{name: _corpus(name, count) for name, count in (("bleu", 10), ("chrf", 18), ("chrf++", 24), ("ter", 2))},
}
NAMES_OF_CODE = {"aggregate.cb_multi_fi": "macro_f1", "t5_utils.agg_mean_3class_f1": "macro_f1"}
"""Functions of lm-eval's own tasks that are one of these ways."""


class _Named(dict[str, Metric]):
    """Any metric of lm-eval, with how its items are put together behind a colon where that is not the usual."""

    def __missing__(self, asked: str) -> Metric:
        name, _, way = asked.partition(":")
        way = way or USUAL.get(name, "")
        if not name:
            raise KeyError(asked)
        return _metric(asked, name, way)


def is_known(name: str) -> bool:
    """Return whether ``lm.NAME`` can be computed."""
    metric, _, way = name.partition(":")
    return (way or USUAL.get(metric, "")) in WAYS


def _metric(asked: str, name: str, way: str) -> Metric:
    found = WAYS.get(way)
    if found is None:
        return Metric(f"lm.{asked}", _refused(name, way), mean_of(name), (name,), None, GIVEN)

    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        del references
        missing = [one for one in predictions if not (isinstance(one, Mapping) and name in one)]
        if missing:
            raise ValueError(f"{len(missing)} predictions do not say {name}; the lm-eval task must compute it")
        return {f"{name}_{key}": value for key, value in found.columns([one[name] for one in predictions]).items()}

    def formula(rows: Rows, weights: Column) -> float:
        return found.formula({key: rows[f"{name}_{key}"] for key in found.statistics}, weights)

    return Metric(
        f"lm.{asked}", columns, formula, tuple(f"{name}_{key}" for key in found.statistics), found.lowest, GIVEN
    )


def _refused(name: str, way: str) -> Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]]:
    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        raise MissingPrerequisite(
            f"lm-eval puts {name!r} of the items together by {way or 'code of its own'}, which needs more than "
            f"statistics of single items; what can be put together here is {', '.join(WAYS)}, and means"
        )

    return columns


METRICS = _Named()
