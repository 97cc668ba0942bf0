"""SQuAD's scores are those of the official scripts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from lm_eval.tasks.super_glue.record.t5_utils import normalize_squad, squad_em_agg, squad_f1_agg

from harness.metric import find
from harness.metrics.squad import METRICS
from tests.harness.metrics.samples import texts

PREDICTIONS = [
    {"text": text, "no_answer_probability": probability}
    for text, probability in (
        ("Saint Bernadette Soubirous", 0.05),
        ("in the late 1990s", 0.2),
        ("the Norse leader Rollo", 0.31),
        ("", 0.4),
        ("Rollo", 0.9),
        ("a 10th century", 0.35),
        ("France.", 0.1),
        ("42 per cent", 0.6),
    )
]
REFERENCES = [
    ["Saint Bernadette Soubirous"],
    ["late 1990s", "the late 1990s"],
    ["Rollo", "Rollo"],
    ["10th century", "in the 10th and 11th centuries"],
    [],
    [],
    ["France", "France", "in France"],
    [],
]
# What squad_evaluate of transformers 4.57.1 (the official v2.0 script, adapted) says of them.
OFFICIAL = {"exact_match": 0.25, "f1": 0.4125, "best_exact": 0.625, "best_f1": 0.7875}


def score(name: str, predictions: list[object], references: list[list[str]]) -> float:
    metric = find(f"squad.{name}")
    return metric.score(metric.rows(predictions, references))


@pytest.mark.parametrize("name", METRICS)
def test_scores_are_those_of_the_official_script(name: str) -> None:
    assert score(name, PREDICTIONS, REFERENCES) == pytest.approx(OFFICIAL[name], abs=1e-12)


@settings(max_examples=300)
@given(prediction=texts(), reference=texts(), other=texts())
def test_scores_are_those_of_lm_eval(prediction: str, reference: str, other: str) -> None:
    # It knows groups of (prediction, reference) pairs, and wants F1's texts normalised by itself.
    pairs = [(prediction, f"0_{one}") for one in (reference, other)]
    assert score("exact_match", [prediction], [[reference, other]]) == squad_em_agg(pairs)
    both = [squad_f1_agg([(prediction, f"0_{one}")]) for one in (reference, other)]
    assert score("f1", [prediction], [[reference, other]]) == pytest.approx(max(both), abs=1e-12)


@given(texts(8))
def test_a_text_equals_its_own_normal_form(text: str) -> None:
    assert score("exact_match", [text], [[normalize_squad(text)]]) == 1.0


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("", [], 1, 1),
        ("the .", [], 1, 1),
        ("Rollo", [], 0, 0),
        ("", ["Rollo"], 0, 0),
        ("the cat sat", ["cat", "a cat lay"], 0, 2 * 1 / (2 + 1)),
        ("cat cat", ["cat"], 0, 2 / 3),
        ("it's", ["its"], 1, 1),
    ],
)
def test_hand_scored_answers(prediction: str, references: list[str], exact: float, f1: float) -> None:
    assert score("exact_match", [prediction], [references]) == exact
    assert score("f1", [prediction], [references]) == pytest.approx(f1)


def test_the_best_threshold_lies_between_two_predictions_and_is_paid_for_by_wrong_ones() -> None:
    def best(probabilities: list[float]) -> float:
        rows = zip(["right", "anything", "right"], probabilities, strict=True)
        answers = [{"text": text, "no_answer_probability": probability} for text, probability in rows]
        return score("best_exact", answers, [["right"], [], ["right"]])

    assert best([0.1, 0.9, 0.2]) == 1.0
    assert best([0.1, 0.2, 0.9]) == pytest.approx(2 / 3)
    assert best([0.5, 0.1, 0.5]) == pytest.approx(2 / 3)
    assert best([0.5, 0.5, 0.5]) == pytest.approx(2 / 3), "equal probabilities fall on one side together"


def test_the_best_threshold_is_found_anew_for_each_draw() -> None:
    metric = METRICS["best_exact"]
    rows = metric.rows(PREDICTIONS, REFERENCES)
    weights = np.array([0, 0, 0, 0, 3, 1, 0, 1], np.float64)
    assert metric.score(rows, weights) == 1.0, "only unanswerable questions were drawn"


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([3], [["a"]], "prediction 0 is 3, of type int; a text is needed"),
        ([{"answer": "a"}], [["a"]], "prediction 0 is None, of type NoneType"),
        (["a"], ["a"], "reference 0 is 'a'; a list of texts is needed"),
        (["a"], [None], "reference 0 is None; a list of texts is needed"),
        ([{"text": "a", "no_answer_probability": float("nan")}], [["a"]], "no_answer_probability nan; a finite number"),
    ],
)
def test_bad_input_is_refused_by_name(predictions: list[object], references: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^squad.f1: .*{message}"):
        METRICS["f1"].rows(predictions, references)
