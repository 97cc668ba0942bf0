"""E2E's scores are those of the challenge's scripts."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from harness.metrics.e2e import METRICS
from tests.harness.metrics.samples import PASSAGES, passages

PREDICTIONS = [
    "The Eagle is a low-priced, family-friendly pub near Café Brazil.",
    "Cotto serves Italian food for less than £20; it's in the city centre.",
    "Aromi is a non-kid-friendly coffee shop with 1 out of 5 stars.",
    "Don't bring kids to The Punter, a pub (riverside) rated 3.5.",
]
REFERENCES = [
    [
        "The Eagle, a pub near Café Brazil, is family-friendly and low-priced.",
        "Near Café Brazil there is a cheap family friendly pub called The Eagle!",
    ],
    ["Cotto is an Italian place in the city centre where you pay less than £20."],
    [
        "Aromi is a coffee shop that isn't kid-friendly; it has a rating of 1 out of 5.",
        "With 1 out of 5 stars, Aromi is a coffee shop that does not welcome kids.",
        "Aromi - a coffee shop rated 1 out of 5 - is not for kids.",
    ],
    ['The Punter is a "riverside" pub with a rating of 3.5... children aren\'t welcome.'],
]
# BLEU and NIST from e2e-metrics' pymteval; the others from pycocoevalcap 1.2, whose tokens are Stanford's.
OFFICIAL = {
    "bleu": 0.23876038637683308,
    "nist": 3.731432274072497,
    "rouge_l": 0.5131980523520668,
    "cider": 2.853115047118729,
    "meteor": 0.3648890255330776,
}
OFFICIAL_ITEMS = {
    "rouge_l": [0.6609907120743034, 0.38485804416403785, 0.6642468239564429, 0.34269662921348315],
    "cider": [3.2464835505514604, 3.734321478786356, 3.169140373217175, 1.262514785919924],
}


def score(name: str, predictions: list[str], references: list[list[str]]) -> float:
    return METRICS[name].score(METRICS[name].rows(predictions, references))


@pytest.mark.parametrize("name", sorted(OFFICIAL.keys() - {"meteor"}))
def test_scores_are_those_of_the_official_scripts(name: str) -> None:
    assert score(name, PREDICTIONS, REFERENCES) == pytest.approx(OFFICIAL[name], abs=1e-9)


@pytest.mark.java
def test_meteor_is_that_of_the_official_script() -> None:
    assert score("meteor", PREDICTIONS, REFERENCES) == pytest.approx(OFFICIAL["meteor"], abs=1e-9)


# What the same scripts say of the test split where each meaning representation's first text is held against its others.
OFFICIAL_OF_THE_TEST_SPLIT = {
    "bleu": 0.6045619083952298,
    "nist": 8.898831365878737,
    "rouge_l": 0.6381129068662674,
    "cider": 1.8572240685162773,
    "meteor": 0.456309311485148,
}


def _test_split() -> tuple[list[str], list[list[str]]]:
    """Return the first text and the others of the 616 meaning representations of the test split that have several."""
    path = Path(os.environ["PARETUNE_MIRROR"], "tuetschek/e2e_nlg/default/test.parquet")
    texts: dict[str, list[str]] = {}
    for row in pq.read_table(path).to_pylist():
        texts.setdefault(row["meaning_representation"], []).append(row["human_reference"])
    several = [some for some in texts.values() if len(some) > 1]
    assert len(several) == 616
    return [some[0] for some in several], [some[1:] for some in several]


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(OFFICIAL.keys() - {"meteor"}))
def test_scores_of_people_are_those_of_the_official_scripts(name: str) -> None:
    assert score(name, *_test_split()) == pytest.approx(OFFICIAL_OF_THE_TEST_SPLIT[name], abs=1e-9)


@pytest.mark.data
@pytest.mark.java
def test_meteor_of_people_is_that_of_the_official_script() -> None:
    assert score("meteor", *_test_split()) == pytest.approx(OFFICIAL_OF_THE_TEST_SPLIT["meteor"], abs=1e-9)


@pytest.mark.parametrize("name", OFFICIAL_ITEMS)
def test_every_item_scores_as_in_the_official_script(name: str) -> None:
    assert METRICS[name].rows(PREDICTIONS, REFERENCES)[name] == pytest.approx(OFFICIAL_ITEMS[name], abs=1e-9)


@settings(max_examples=100)
@given(st.lists(st.tuples(passages(), st.lists(passages(), min_size=2, max_size=2)), min_size=1, max_size=4))
def test_bleu_is_that_of_sacrebleu(drawn: list[tuple[str, list[str]]]) -> None:
    predictions, references = map(list, zip(*drawn, strict=True))
    official = BLEU(lowercase=True, force=True).corpus_score(
        predictions, list(map(list, zip(*references, strict=True)))
    )
    assert score("bleu", predictions, references) == pytest.approx(official.score / 100, abs=1e-9)


def test_nist_of_a_perfect_text_is_the_information_of_its_words() -> None:
    text = "one two three four five"
    # Five words, each once: log2 5 for a word, and nothing for what is certain to follow it.
    assert score("nist", [text], [[text]]) == pytest.approx(math.log2(5))


def test_nist_halves_where_a_third_of_the_words_is_missing() -> None:
    assert score("nist", ["a b"], [["a b c"]]) == pytest.approx(math.log2(3) / 2)


def test_a_cider_of_one_item_is_nothing_since_every_word_is_in_every_item() -> None:
    assert score("cider", PASSAGES[:1], [PASSAGES[:1]]) == 0.0


def test_document_frequencies_stay_when_items_are_drawn_again() -> None:
    metric = METRICS["cider"]
    rows = metric.rows(PREDICTIONS, REFERENCES)
    weights = np.array([3.0, 0.0, 1.0, 0.0])
    assert metric.score(rows, weights) == pytest.approx(
        (3 * OFFICIAL_ITEMS["cider"][0] + OFFICIAL_ITEMS["cider"][2]) / 4
    )


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([1], [["a"]], "prediction 0 is 1, of type int"),
        (["a"], ["a"], "reference 0 is 'a'; a list of texts"),
        (["a"], [[]], "reference 0 is an empty list"),
    ],
)
def test_bad_input_is_refused_by_name(
    name: str, predictions: list[object], references: list[object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^e2e.{name}: {message}"):
        METRICS[name].rows(predictions, references)
