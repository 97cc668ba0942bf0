"""MultiRC's scores are what scikit-learn says of its answers and questions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from harness.metrics.multirc import METRICS

Answer = tuple[int, int, str]
answers = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from(["0/0", "0/1", "1/0", "2/0"])),
    min_size=1,
    max_size=20,
)


def score(name: str, drawn: list[Answer]) -> float:
    references = [{"label": label, "question": question} for _, label, question in drawn]
    return METRICS[name].score(METRICS[name].rows([prediction for prediction, _, _ in drawn], references))


def by_question(drawn: list[Answer]) -> list[tuple[list[int], list[int]]]:
    """Return labels and predictions of each question."""
    found: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for prediction, label, question in drawn:
        found[question][0].append(label)
        found[question][1].append(prediction)
    return list(found.values())


@given(answers)
def test_f1a_and_accuracy_are_over_all_answers(drawn: list[Answer]) -> None:
    predicted, actual, _ = map(list, zip(*drawn, strict=True))
    assert score("f1a", drawn) == pytest.approx(f1_score(actual, predicted, zero_division=0), abs=1e-12)
    assert score("accuracy", drawn) == pytest.approx(accuracy_score(actual, predicted), abs=1e-12)


@given(answers)
def test_em_is_the_share_of_questions_with_every_answer_right(drawn: list[Answer]) -> None:
    full = [accuracy_score(*pair) == 1.0 for pair in by_question(drawn)]
    assert score("em", drawn) == pytest.approx(np.mean(full), abs=1e-12)


@given(answers)
def test_f1m_is_of_mean_precision_and_mean_recall(drawn: list[Answer]) -> None:
    precision, recall = (
        np.mean([one(*pair, zero_division=1.0) for pair in by_question(drawn)])
        for one in (precision_score, recall_score)
    )
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert score("f1m", drawn) == pytest.approx(expected, abs=1e-12)


@given(answers)
def test_the_superglue_number_is_the_mean_of_f1a_and_em(drawn: list[Answer]) -> None:
    assert score("f1a_and_em", drawn) == pytest.approx((score("f1a", drawn) + score("em", drawn)) / 2)


def test_a_question_drawn_twice_counts_twice_and_an_answer_left_out_is_not_asked() -> None:
    metric = METRICS["em"]
    labels = [{"label": label, "question": question} for label, question in ((1, "a"), (0, "a"), (1, "b"))]
    rows = metric.rows([1, 1, 1], labels)
    assert metric.score(rows) == 0.5
    assert metric.score(rows, np.array([1.0, 1.0, 2.0])) == pytest.approx(2 / 3)
    assert metric.score(rows, np.array([1.0, 0.0, 1.0])) == 1.0
    assert metric.score(rows, np.array([2.0, 2.0, 0.0])) == 0.0
    assert metric.score(rows, np.array([1.0, 2.0, 1.0])) == 0.5, "one answer's copy does not change what is asked"


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        (1, 1, r"reference 0 is 1; .*question"),
        (1, {"label": 1}, r"reference 0 is \{'label': 1\}; .*question"),
        (2, {"label": 1, "question": "a"}, "item 0 has prediction 2 and label 1; both are 0 or 1"),
        (1, {"label": -1, "question": "a"}, "item 0 has prediction 1 and label -1; both are 0 or 1"),
    ],
)
@pytest.mark.parametrize("name", METRICS)
def test_bad_input_is_refused_by_name(name: str, prediction: int, reference: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^multirc.{name}: {message}"):
        METRICS[name].rows([prediction], [reference])
