"""SQuAD: exact match and token F1 of an answer against the best of its references, as the official scripts score them.

Rajpurkar et al. 2016 (v1.1), Rajpurkar, Jia and Liang 2018 (v2.0).

A prediction is a text, empty for "no answer", or ``{"text": str, "no_answer_probability": float}``; a reference is
the list of the acceptable texts, empty where the question has no answer. A question without an answer is right where
nothing but articles and punctuation is predicted. ``exact_match`` and ``f1`` take every text at its word.
``best_exact`` and ``best_f1`` are what the best threshold on the probability of "no answer" would have reached,
chosen on the very items that are scored, and therefore reported apart.

Differs from the v2.0 script in two points that real data hardly meet: equal probabilities fall on one side of a
threshold together (the script may split them, in the order of its file), and a reference that is nothing but articles
and punctuation still counts, as in the v1.1 script (v2.0 drops it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metric import Column, Metric, Rows, mean_of
from harness.metrics.parts.reading import read_references, read_texts
from harness.metrics.parts.texts import bare, token_f1

Score = Callable[[str, Sequence[str]], float]
Columns = Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]]
TEXT, PROBABILITY = "text", "no_answer_probability"


def exact(prediction: str, references: Sequence[str]) -> float:
    """Return 1 if the prediction equals a reference, both made bare; without references, if it is bare of words."""
    return float(bare(prediction) in {bare(one) for one in references or [""]})


def best_token_f1(prediction: str, references: Sequence[str]) -> float:
    """Return the largest token F1 over the references; without any, 1 if the prediction is bare of words and else 0."""
    if not references:
        return exact(prediction, references)
    predicted = bare(prediction).split()
    return max(token_f1(predicted, bare(one).split()) for one in references)


def _read(predictions: Sequence[Any]) -> tuple[list[str], Column]:
    """Return texts and probabilities of "no answer", 0 where none was given."""
    pairs = [(one.get(TEXT), one.get(PROBABILITY)) if isinstance(one, Mapping) else (one, None) for one in predictions]
    probabilities = np.array([0.0 if probability is None else probability for _, probability in pairs], np.float64)
    if not np.isfinite(probabilities).all():
        row = int(np.flatnonzero(~np.isfinite(probabilities))[0])
        raise ValueError(f"prediction {row} has the {PROBABILITY} {probabilities[row]}; a finite number is needed")
    return read_texts([text for text, _ in pairs]), probabilities


def _columns(name: str, score: Score) -> Columns:
    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        texts, _ = _read(predictions)
        answers = read_references(references, may_be_empty=True)
        return {name: np.array([score(*pair) for pair in zip(texts, answers, strict=True)], np.float64)}

    return columns


def _threshold_columns(name: str, score: Score) -> Columns:
    """Return ``columns`` with what each prediction gains over "no answer", beside whether there is one."""

    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        texts, probabilities = _read(predictions)
        answers = read_references(references, may_be_empty=True)
        # As in the script, any text loses the point of a question without an answer, even one of articles alone.
        gains = [score(text, one) if one else -float(bool(text)) for text, one in zip(texts, answers, strict=True)]
        return {
            name: np.array(gains, np.float64),
            "answerable": np.array([bool(one) for one in answers], np.float64),
            PROBABILITY: probabilities,
        }

    return columns


@lru_cache(maxsize=16)
def _thresholds(probabilities: bytes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the order of float64 probabilities, and where in it the last of equal ones stands.

    Remembered, since a jackknife asks once for every item that it leaves out.
    """
    values = np.frombuffer(probabilities, np.float64)
    order = np.argsort(values, kind="stable")
    levels = values[order]
    return order, np.append(levels[1:] > levels[:-1], True)


def _best(name: str) -> Callable[[Rows, Column], float]:
    """Return the formula: the best mean over all thresholds, above which a question is said to have no answer.

    Starting from all questions unanswered, each threshold admits the predictions at and below it, with their gains.
    """

    def formula(rows: Rows, weights: Column) -> float:
        order, ends = _thresholds(rows[PROBABILITY].tobytes())
        at_ends = np.cumsum((weights * rows[name])[order])[ends]
        return float((weights @ (1 - rows["answerable"]) + max(0.0, at_ends.max())) / weights.sum())

    return formula


def _plain(name: str, statistic: str, score: Score) -> Metric:
    return Metric(name, _columns(statistic, score), mean_of(statistic), (statistic,), takes="answer")


def _at_best(name: str, statistic: str, score: Score) -> Metric:
    statistics = (statistic, "answerable", PROBABILITY)
    return Metric(name, _threshold_columns(statistic, score), _best(statistic), statistics, takes="answer")


METRICS: dict[str, Metric] = {
    "exact_match": _plain("squad.exact_match", "squad_exact", exact),
    "f1": _plain("squad.f1", "squad_f1", best_token_f1),
    "best_exact": _at_best("squad.best_exact", "squad_exact_gain", exact),
    "best_f1": _at_best("squad.best_f1", "squad_f1_gain", best_token_f1),
}
