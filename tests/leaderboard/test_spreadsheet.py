"""CSV that a spreadsheet may open."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.spreadsheet import harmless, table

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "'=1", "-1e5)"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_begins_a_formula_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == "'" + text


@pytest.mark.parametrize("text", ["", "lora", "-0.5", "+3", "-1e-05", "0.5", "it's", "'quoted'", "a=b", '{"a": 1}'])
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@given(st.text())
def test_no_text_begins_a_formula_and_each_can_be_had_back(text: str) -> None:
    written = harmless(text)
    assert not re.match(r"[=+\-@\t\r\n]", written) or re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", written)
    quoted = re.match(r"'[ ']*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", written)
    assert (written[1:] if quoted else written) == text


@given(st.lists(st.fixed_dictionaries({"a": st.text(alphabet=st.characters(exclude_categories=["Cs"]))}), max_size=4))
def test_a_table_reads_back_as_what_was_written(lines: list[dict[str, str]]) -> None:
    read = list(csv.DictReader(io.StringIO(table(("a", "b"), lines), newline="")))
    assert [line["a"] for line in read] == [harmless(line["a"]) for line in lines]
    assert all(line["b"] == "" for line in read)
