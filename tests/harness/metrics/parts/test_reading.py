"""Texts are read as they are, or refused by their row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.metrics.parts.reading import read_references, read_texts


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
