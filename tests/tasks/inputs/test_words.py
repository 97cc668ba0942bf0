"""Spans that are named by words are found in characters."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tasks.inputs.words import locate, located

TEXT = "Mark told Pete many lies about himself, which Pete included. He saw it."


@pytest.mark.parametrize(
    ("word", "span", "found"),
    [
        (0, "Mark", "Mark"),
        (2, "Pete", "Pete"),
        (6, "himself", "himself"),  # without the comma that is part of its word
        (10, "He", "He"),
        (10, "he", "He"),
        (3, "many  lies", "many lies"),
        (12, "it.", "it"),
        (11, "it", "it"),  # the number is one off
        (99, "it", "it"),
        (3, "all those", "many lies"),  # quoted otherwise: as many words from the named one on
        (12, "two words", "it."),
    ],
)
def test_a_span_is_found(word: int, span: str, found: str) -> None:
    start, end = locate(TEXT, word, span)
    assert TEXT[start:end] == found


def test_of_several_occurrences_the_nearest_to_the_named_word_is_taken() -> None:
    assert locate(TEXT, 2, "Pete")[0] == 10
    assert locate(TEXT, 8, "Pete")[0] == TEXT.rindex("Pete")
    assert locate("he the he", 2, "he") == (7, 9), "not inside another word"


def test_every_row_gets_the_edges_of_both_spans() -> None:
    table = pa.table(
        {
            "text": [TEXT, "a b"],
            "span1_index": [0, 1],
            "span1_text": ["Mark", "b"],
            "span2_index": [10, 0],
            "span2_text": ["He", "a"],
        }
    )
    assert located(table) == {
        "span1_start": [0, 2],
        "span1_end": [4, 3],
        "span2_start": [61, 0],
        "span2_end": [63, 1],
    }
