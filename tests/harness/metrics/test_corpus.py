"""DART's and WebNLG's scores are sacrebleu's on texts in lower case with every character of no word apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF, TER

from harness.metrics.corpus import METRICS, prepared
from tests.harness.metrics.samples import passages

OFFICIAL = {"bleu": BLEU(force=True), "chrf": CHRF(word_order=2), "ter": TER()}


def score(name: str, predictions: list[str], references: list[list[str]]) -> float:
    return METRICS[name].score(METRICS[name].rows(predictions, references))


@pytest.mark.parametrize("name", OFFICIAL)
@settings(max_examples=60)
@given(drawn=st.lists(st.tuples(passages(), st.lists(passages(), min_size=2, max_size=2)), min_size=1, max_size=4))
def test_scores_are_those_of_sacrebleu(name: str, drawn: list[tuple[str, list[str]]]) -> None:
    predictions, references = map(list, zip(*drawn, strict=True))
    by_reference = [[prepared(one[number]) for one in references] for number in range(2)]
    official = OFFICIAL[name].corpus_score(list(map(prepared, predictions)), by_reference).score
    assert score(name, predictions, references) == pytest.approx(official / 100, abs=1e-6)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_items_may_have_different_numbers_of_references(name: str) -> None:
    predictions = ["the runway is called 18L/36R", "Aarhus Airport is in Denmark , says Ann"]
    references = [["18L/36R is the runway's name"], ["Denmark has Aarhus Airport", "Aarhus Airport lies in Denmark"]]
    by_reference = [[prepared(references[0][0]), prepared(references[1][0])], [None, prepared(references[1][1])]]
    official = OFFICIAL[name].corpus_score(list(map(prepared, predictions)), by_reference).score
    assert 0 < score(name, predictions, references) == pytest.approx(official / 100, abs=1e-6)


def test_ter_counts_edits_against_the_nearest_reference_per_word_of_the_mean_one() -> None:
    assert score("ter", ["a b c d"], [["a b c d e", "x"]]) == pytest.approx(1 / 3)
    assert score("ter", ["c d a b"], [["a b c d"]]) == pytest.approx(1 / 4), "a shift of several words is one edit"
    assert score(
        "ter",
        ["a"],
        [
            ["a b c d"],
        ][:1],
    ) == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't pay 1,500.", "don ' t pay 1 , 500 ."),
        ("  The Café (U.S.)\n", "the café ( u . s . )"),
        ("snake_case", "snake_case"),
        ("", ""),
    ],
)
def test_texts_are_prepared_as_stated(text: str, expected: str) -> None:
    assert prepared(text) == expected
    assert prepared(prepared(text)) == expected


@pytest.mark.java
def test_meteor_matches_stems_and_synonyms() -> None:
    texts = ["The runways are named 18L/36R", "a large automobile"]
    others = [*texts, "The runway is named 18L/36R", "a big car", "The teacher is named Ann", "a red door"]
    metric = METRICS["meteor"]
    rows = metric.rows(texts * 3, [[other] for other in others])
    same, related, unrelated = (metric.score(rows, weights) for weights in np.repeat(np.eye(3), 2, axis=1))
    assert 0 < unrelated < related < same == pytest.approx(1.0)
