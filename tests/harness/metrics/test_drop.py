"""DROP's scores are those that lm-eval computes for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks.drop.utils import process_results

from harness.metrics.drop import METRICS
from tests.harness.metrics.samples import texts

spans = st.lists(texts(4), min_size=1, max_size=4)


def score(name: str, prediction: Any, accepted: list[Any]) -> float:
    return METRICS[name].score(METRICS[name].rows([prediction], [accepted]))


@settings(max_examples=400)
@given(prediction=spans, accepted=st.lists(spans, min_size=1, max_size=3))
def test_scores_are_those_of_lm_eval(prediction: list[str], accepted: list[list[str]]) -> None:
    official = process_results({"answers": [tuple(one) for one in accepted]}, prediction)
    assert score("em", prediction, accepted) == official["em"]
    assert score("f1", prediction, accepted) == pytest.approx(official["f1"], abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "accepted", "em", "f1"),
    [
        ("1,500 yards", ["1500 yards"], 1, 1),
        ("12", ["12.0"], 1, 1),
        ("12 yards", ["13 yards"], 0, 0),  # words alone do not make up for the wrong number
        ("yards", ["the 13 yards", "yards"], 1, 1),
        (["Tom Brady", "Moss"], [["Moss", "Brady"]], 0, 0.83),  # (1 + 2/3) / 2, to two digits
        ("Moss", [["Moss", "Brady"]], 0, 0.5),
        (["Moss", "Brady"], [["Brady", "Moss"]], 1, 1),
        ("forty-two", ["forty two"], 1, 1),
        ("", ["Moss"], 0, 0),
        ("", [""], 0, 0),
    ],
)
def test_hand_scored_answers(prediction: Any, accepted: list[Any], em: float, f1: float) -> None:
    assert score("em", prediction, accepted) == em
    assert score("f1", prediction, accepted) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("prediction", "accepted", "message"),
    [
        (3, ["3"], "prediction 0 is 3; a text or a list of texts is needed"),
        ("3", "3", "reference 0 is '3'; a list of acceptable answers is needed"),
        ("3", [], r"reference 0 is \[\]; a list of acceptable answers is needed"),
        ("3", ["3", 3], "reference 0, answer 1, is 3; a text or a list of texts is needed"),
    ],
)
def test_bad_input_is_refused_by_name(prediction: Any, accepted: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^drop.f1: {message}"):
        METRICS["f1"].rows([prediction], [accepted])
