"""MultiRC: every answer of a question is right or wrong by itself; F1 over answers, and questions answered in full.

Khashabi et al. 2018; Wang et al. 2019 (SuperGLUE). A prediction is 0 or 1; a reference is
``{"label": 0 or 1, "question": str}``, where answers with equal ``question`` belong to one question (paragraph and
question number together, for example ``"3/1"``).

- ``f1a``: F1 of class 1 over all answers of all questions.
- ``em``: share of questions whose answers are all labelled right.
- ``f1m``: harmonic mean of the questions' mean precision and mean recall, as MultiRC's own script; a question of which
  no answer is predicted has precision 1, one that has no right answer has recall 1.
- ``f1a_and_em``: the mean of both, which enters the SuperGLUE average.
- ``accuracy``: over all answers (random masking's choice).

Weights are multiplicities of answers. A question counts as often as its rarest answer that is not left out, so that a
draw of whole questions repeats them, and the repetition of one answer does not change what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import metric
from harness.metric import Column, Metric, Rows, average, mean_of

LABEL, QUESTION = "label", "question"


def _read(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Column, Column, Column]:
    """Return predictions, labels, and a number for each question (Any: checked here)."""
    for row, reference in enumerate(references):
        if not isinstance(reference, Mapping) or not {LABEL, QUESTION} <= reference.keys():
            raise ValueError(f'reference {row} is {reference!r}; {{"{LABEL}": 0 or 1, "{QUESTION}": text}} is needed')
    predicted = np.asarray(predictions, np.float64)
    labels = np.array([one[LABEL] for one in references], np.float64)
    strange = ~np.isin(np.stack([predicted, labels]), (0, 1)).all(axis=0)
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise ValueError(f"item {row} has prediction {predicted[row]:g} and label {labels[row]:g}; both are 0 or 1")
    questions = np.unique([str(one[QUESTION]) for one in references], return_inverse=True)[1]
    return predicted, labels, questions.astype(np.float64)


def _of_answers(part: Metric) -> Callable[[Sequence[Any], Sequence[Any]], dict[str, Column]]:
    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        predicted, labels, _ = _read(predictions, references)
        return part.columns(predicted.tolist(), labels.tolist())

    return columns


def _of_questions(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
    predicted, labels, questions = _read(predictions, references)
    return {"predicted": predicted, "actual": labels, "question": questions}


def _questions(rows: Rows, weights: Column) -> tuple[NDArray[np.intp], Column]:
    """Return the question 0..Q-1 of each answer, and how often each question counts."""
    codes = np.unique(rows["question"], return_inverse=True)[1]
    rarest = np.full(codes.max() + 1, np.inf)
    np.minimum.at(rarest, codes, np.where(weights > 0, weights, np.inf))
    return codes, np.where(np.isfinite(rarest), rarest, 0.0)


def _em(rows: Rows, weights: Column) -> float:
    codes, counts = _questions(rows, weights)
    wrong = np.bincount(codes, weights * (rows["predicted"] != rows["actual"]), counts.size)
    return float(counts @ (wrong == 0) / counts.sum())


def _f1m(rows: Rows, weights: Column) -> float:
    codes, counts = _questions(rows, weights)
    hits, predicted, actual = (
        np.bincount(codes, weights * column, counts.size)
        for column in (rows["predicted"] * rows["actual"], rows["predicted"], rows["actual"])
    )
    precision, recall = (
        counts @ np.divide(hits, whole, out=np.ones_like(hits), where=whole > 0) / counts.sum()
        for whole in (predicted, actual)
    )
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


BY_QUESTION = ("predicted", "actual", "question")
ACCURACY = Metric(
    "multirc.accuracy", _of_answers(metric.ACCURACY), mean_of("correct"), ("correct",), takes="label of a question"
)
F1A = Metric(
    "multirc.f1a", _of_answers(metric.F1), metric.F1.formula, metric.F1.statistics, takes="label of a question"
)
EM = Metric("multirc.em", _of_questions, _em, BY_QUESTION, takes="label of a question")
F1M = Metric("multirc.f1m", _of_questions, _f1m, BY_QUESTION, takes="label of a question")

METRICS: dict[str, Metric] = {
    "accuracy": ACCURACY,
    "f1a": F1A,
    "em": EM,
    "f1m": F1M,
    "f1a_and_em": average("multirc.f1a_and_em", F1A, EM),
}
