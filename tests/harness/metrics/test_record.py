"""ReCoRD's scores are those that lm-eval computes for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks.super_glue.record.t5_utils import squad_em_agg, squad_f1_agg

from harness.metrics.record import METRICS
from tests.harness.metrics.samples import answers, texts


def score(name: str, predictions: list[str], references: list[list[str]]) -> float:
    return METRICS[name].score(METRICS[name].rows(predictions, references))


@settings(max_examples=300)
@given(texts(), st.lists(answers(), min_size=1, max_size=3))
def test_scores_are_those_of_lm_eval(entity: str, right: list[str]) -> None:
    pairs = [(entity, f"0_{one}") for one in right]
    assert score("em", [entity], [right]) == squad_em_agg(pairs[:1] + pairs[1:])
    assert score("f1", [entity], [right]) == pytest.approx(max(squad_f1_agg([pair]) for pair in pairs), abs=1e-12)


def test_hand_scored_entities() -> None:
    entities = ["Barack Obama", "U.S.", "Sonny"]
    right = [["Obama", "the Obamas"], ["US"], ["Sally"]]
    assert score("em", entities, right) == pytest.approx(1 / 3)
    assert score("f1", entities, right) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert score("f1_and_em", entities, right) == pytest.approx((1 / 3 + 5 / 9) / 2)


def test_a_query_without_a_right_entity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^record.em: reference 1 is an empty list; give at least one text"):
        METRICS["em"].rows(["a", "b"], [["a"], []])
