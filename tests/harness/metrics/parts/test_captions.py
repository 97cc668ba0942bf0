"""Tokens, ROUGE-L and CIDEr are those of coco-caption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import _score_lcs  # its public door insists on tokens of its own

from harness.metrics.parts.captions import BETA, cider, longest_common_subsequence, rouge_l, tokens

words = st.lists(st.sampled_from("abcde"), min_size=1, max_size=12)

# What Stanford's PTBTokenizer 3.4.1 makes of them with -lowerCase, without coco-caption's list of punctuation.
STANFORD = {
    "The Eagle is a low-priced, family-friendly pub near Café Brazil (riverside); it's £20-25!": "the eagle is a "
    "low-priced family-friendly pub near café brazil -lrb- riverside -rrb- it 's # 20-25",
    'It costs less than £20. Don\'t go. "Great" food, 5 out of 5... e.g. U.S. style.': "it costs less than # 20 "
    "do n't go great food 5 out of 5 e.g. u.s. style",
    "Aromi is a non-kid-friendly coffee shop with moderate prices/costs.": "aromi is a non-kid-friendly coffee shop "
    "with moderate prices/costs",
    "Cotto's price range: more than £30; customers' rating - high.": "cotto 's price range more than # 30 customers "
    "rating high",
    "They're cannot gonna wanna 3.5 1,000 9/10 A&B $20 20%": "they 're can not gon na wan na 3.5 1,000 9/10 a&b "
    "$ 20 20 %",
    "It is near St. John's College, in city center., by the hors d'oeuvres": "it is near st. john 's college in city "
    "center. by the hors d'oeuvres",
}


@pytest.mark.parametrize("text", STANFORD)
def test_tokens_are_those_of_stanford(text: str) -> None:
    assert tokens(text) == STANFORD[text].split()


@given(words, words)
def test_rouge_l_of_one_reference_is_that_of_rouge_score(predicted: list[str], reference: list[str]) -> None:
    official = _score_lcs(reference, predicted)
    shared = longest_common_subsequence(reference, predicted)
    assert shared / len(reference) == pytest.approx(official.recall)
    assert shared / len(predicted) == pytest.approx(official.precision)
    precision, recall = official.precision, official.recall
    expected = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if shared else 0.0
    assert rouge_l(predicted, [reference]) == pytest.approx(expected)


@given(words, st.lists(words, min_size=1, max_size=3))
def test_rouge_l_takes_the_best_of_each_side(predicted: list[str], references: list[list[str]]) -> None:
    assert rouge_l(predicted, references) >= max(rouge_l(predicted, [one]) for one in references) - 1e-12


def test_empty_texts_share_nothing_with_others_and_all_with_each_other() -> None:
    assert rouge_l([], [["a"]]) == 0.0
    assert rouge_l([], [[]]) == 1.0


def test_cider_by_hand() -> None:
    # Two items; "b" is in both, so it weighs nothing, and "a", "c", "a b" and "b c" weigh log 2 each.
    scores = cider([["a", "b"], ["c"]], [[["a", "b"]], [["b", "c"]]])
    # First: cosine 1 for words and for pairs, nothing for longer ones. Second: cosine 1 for words; one pair is missing.
    assert scores == pytest.approx([10 * 2 / 4, 10 / 4 * np.exp(-1 / 72)])


@given(st.lists(words.filter(lambda text: len(text) > 3), min_size=2, max_size=4))
def test_cider_of_a_reference_itself_is_the_highest(texts: list[list[str]]) -> None:
    references = [[text] for text in texts]
    best = cider(texts, references)
    assert best.max() <= 10 + 1e-9
    assert (cider(texts[1:] + texts[:1], references) <= best + 1e-9).all()
