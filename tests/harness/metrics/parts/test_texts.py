"""Texts are read as they are, or refused by their row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from lm_eval.tasks.super_glue.record.t5_utils import normalize_squad

from harness.metrics.parts.texts import bare, ngrams, read_references, read_texts, token_f1
from tests.harness.metrics.samples import texts


@given(texts(10))
def test_a_bare_text_is_what_lm_eval_normalises_to(text: str) -> None:
    assert bare(text) == normalize_squad(text)


def test_texts_pass_unchanged() -> None:
    assert read_texts(("a", "")) == ["a", ""]
    assert read_references([("a", "b"), ["c"]]) == [["a", "b"], ["c"]]
    assert read_references([[]], may_be_empty=True) == [[]]


@pytest.mark.parametrize(
    ("read", "values", "message"),
    [
        (read_texts, ["a", 1], "prediction 1 is 1, of type int"),
        (read_references, [["a"], ["b", None]], r"reference 1 is \['b', None\]; a list of texts"),
        (read_references, [["a"], "b"], "reference 1 is 'b'; a list of texts"),
        (read_references, [["a"], []], "reference 1 is an empty list"),
    ],
)
def test_what_is_no_text_is_refused_by_its_row(read: Callable[..., object], values: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        read(values)


def test_token_f1_counts_repeated_tokens() -> None:
    assert token_f1(["a", "a", "b"], ["a", "c"]) == pytest.approx(2 / 5)
    assert token_f1([], []) == token_f1(["a"], ["b"]) == 0.0


def test_ngrams_of_a_short_text_are_none() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams(["a"], 2)) == []
