"""DROP: exact match and F1 of numbers, dates and lists of spans, as the official script scores them.

Dua et al. 2019. A prediction is a text, or a list of texts where several spans are the answer; a reference is the list
of the acceptable answers, each again a text or a list of texts. Every span is made bare token by token (lower case,
split at blanks and hyphens, no punctuation or articles; a number becomes a float's text). ``em`` asks for equal spans.
``f1`` aligns the spans of both sides one to one for the largest sum of F1 over sets of tokens, where a span with a
number only meets one that shares a number, and divides by the larger number of spans; rounded to two digits per
answer, as in the script. Both take the best acceptable answer. An acceptable answer that is empty scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.metric import Column, Metric, mean_of
from harness.metrics.parts.texts import bare

Spans = tuple[str, ...]
_BREAK = re.compile(r"[ -]")


def _read(value: Any, what: str) -> Spans:  # Any: checked here
    spans = (value,) if isinstance(value, str) else value
    if not isinstance(spans, list | tuple) or not all(isinstance(span, str) for span in spans):
        raise ValueError(f"{what} is {value!r}; a text or a list of texts is needed")
    return tuple(spans)


def _read_references(value: Any, what: str) -> list[Spans]:  # Any: checked here
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{what} is {value!r}; a list of acceptable answers is needed")
    return [spans for spans in (_read(one, f"{what}, answer {number},") for number, one in enumerate(value)) if spans]


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _bare_word(word: str) -> str:
    """Return one token, without punctuation unless it is a number already (``1.5`` stays, ``1,500`` joins)."""
    stripped = word if _number(word) is not None else bare(word)
    number = _number(stripped)
    return bare(stripped) if number is None else str(number)


def _bare_span(span: str) -> str:
    return " ".join(word for word in map(_bare_word, _BREAK.split(span.lower())) if word)


def em(predicted: Spans, actual: Spans) -> float:
    """Return 1 if both have equal spans, in any order."""
    ours, theirs = [[_bare_span(span) for span in spans] for spans in (predicted, actual)]
    return float(len(ours) == len(theirs) and set(ours) == set(theirs))


def _set_f1(predicted: set[str], actual: set[str]) -> float:
    numbers = {word for word in actual if _number(word) is not None}
    if numbers and not numbers & predicted:
        return 0.0
    shared = len(predicted & actual)
    precision = shared / len(predicted) if predicted else 1.0
    recall = shared / len(actual) if actual else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def f1(predicted: Spans, actual: Spans) -> float:
    """Return the F1 of the best one-to-one alignment of the spans, rounded to two digits."""
    ours, theirs = [[set(_bare_span(span).split()) for span in spans] for spans in (predicted, actual)]
    if not ours:
        return 0.0
    scores = np.array([[_set_f1(mine, other) for mine in ours] for other in theirs])
    if min(scores.shape) == 1:
        total = scores.max()
    else:
        from scipy.optimize import linear_sum_assignment

        total = scores[linear_sum_assignment(scores, maximize=True)].sum()
    # NumPy's rounding, as in the script: 0.225 becomes 0.22 there and 0.23 in plain Python.
    return float(np.round(total / max(scores.shape), 2))


def _columns(statistic: str, score: Callable[[Spans, Spans], float]) -> Any:
    """Return ``columns`` of a metric (Any: see ``Metric.columns``)."""

    def columns(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Column]:
        values = []
        for row, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
            spans = _read(prediction, f"prediction {row}")
            accepted = [one for one in _read_references(reference, f"reference {row}") if one[0].strip()]
            values.append(max((score(spans, one) for one in accepted), default=0.0))
        return {statistic: np.array(values, np.float64)}

    return columns


METRICS: dict[str, Metric] = {
    "em": Metric("drop.em", _columns("drop_em", em), mean_of("drop_em"), ("drop_em",), takes="spans"),
    "f1": Metric("drop.f1", _columns("drop_f1", f1), mean_of("drop_f1"), ("drop_f1",), takes="spans"),
}
