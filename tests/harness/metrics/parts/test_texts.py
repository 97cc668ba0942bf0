"""Texts are compared as the SQuAD family compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from lm_eval.tasks.super_glue.record.t5_utils import normalize_squad

from harness.metrics.parts.texts import bare, ngrams, token_f1
from tests.harness.metrics.samples import texts


@given(texts(10))
def test_a_bare_text_is_what_lm_eval_normalises_to(text: str) -> None:
    assert bare(text) == normalize_squad(text)


def test_token_f1_counts_repeated_tokens() -> None:
    assert token_f1(["a", "a", "b"], ["a", "c"]) == pytest.approx(2 / 5)
    assert token_f1([], []) == token_f1(["a"], ["b"]) == 0.0


def test_ngrams_of_a_short_text_are_none() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams(["a"], 2)) == []
