"""Tokens and sums are those of mteval-v13a, as sacrebleu and nltk know them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import modified_precision
from nltk.translate.nist_score import corpus_nist
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from harness.metrics.parts import mteval
from tests.harness.metrics.samples import passages

OFFICIAL = Tokenizer13a()
written = st.text(alphabet="abz09 .,-'&;:!?()[]{}_/\\^~`|<>@#$%*+=\"\n", max_size=30)
words = st.lists(st.sampled_from("abcd"), min_size=5, max_size=9)


@settings(max_examples=500)
@given(written)
def test_tokens_are_those_of_sacrebleu(text: str) -> None:
    assert mteval.tokens(text) == OFFICIAL(text).lower().split()


@given(passages())
def test_tokens_of_passages_are_those_of_sacrebleu(text: str) -> None:
    assert mteval.tokens(text) == OFFICIAL(text.lower()).split()


def test_entities_are_read() -> None:
    assert mteval.tokens("A&amp;B &quot;x&quot; &lt;3 <skipped>1,500.") == [
        "a",
        "&",
        "b",
        '"',
        "x",
        '"',
        "<",
        "3",
        "1,500",
        ".",
    ]


@given(words, st.lists(words, min_size=1, max_size=3))
def test_matches_are_those_of_nltk(text: list[str], references: list[list[str]]) -> None:
    rows = mteval.bleu_columns([text], [references])
    for order in range(1, 5):
        precision = modified_precision(references, text, order)
        expected = rows[f"bleu_total_{order}"] * float(precision)
        assert rows[f"bleu_match_{order}"] == pytest.approx(expected)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_nist_is_that_of_nltk_where_each_item_has_one_reference(drawn: list[tuple[list[str], list[str]]]) -> None:
    # nltk looks at each text's best reference alone, which differs where there are several.
    texts, references = [text for text, _ in drawn], [[reference] for _, reference in drawn]
    rows = mteval.nist_columns(texts, references)
    assert mteval.nist(rows, np.ones(len(texts))) == pytest.approx(corpus_nist(references, texts), abs=1e-9)


@given(st.lists(st.tuples(words, words), min_size=2, max_size=4))
def test_sums_of_parts_make_the_whole(drawn: list[tuple[list[str], list[str]]]) -> None:
    texts, references = [text for text, _ in drawn], [[reference] for _, reference in drawn]
    rows = mteval.bleu_columns(texts, references)
    weights = np.zeros(len(texts))
    weights[1:] = 1
    official = BLEU(tokenize="none", force=True).corpus_score(
        [" ".join(text) for text in texts[1:]], [[" ".join(one[0]) for one in references[1:]]]
    )
    assert mteval.bleu(rows, weights) == pytest.approx(official.score / 100, abs=1e-9)


def test_texts_too_short_for_an_order_have_none_of_it() -> None:
    rows = mteval.bleu_columns([["a", "b"], []], [[["a", "b"]], [["a"]]])
    assert [float(rows[f"bleu_total_{order}"].sum()) for order in range(1, 5)] == [2, 1, 0, 0]
    assert mteval.bleu(rows, np.ones(2)) == 0.0
