"""Strangers' texts in LaTeX."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.tex import comment, escape

COMMANDS = (
    r"\\(textbackslash|textbraceleft|textbraceright|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}"
)
SAFE = re.compile(rf"({COMMANDS}|\\symbol\{{34\}}|\\[$&%#_]|\$-\$|[^\\{{}}$&%#_~^<>|\"\n\r])*")


def test_special_characters_are_set_as_they_read() -> None:
    assert escape("50 % of A_B & C") == r"50 \% of A\_B \& C"
    assert escape(r"\input{/etc/passwd}") == r"\textbackslash{}input\textbraceleft{}/etc/passwd\textbraceright{}"
    assert escape("\u22121.2") == "$-$1.2"


@given(st.text())
def test_no_text_holds_a_command_or_leaves_its_line(text: str) -> None:
    assert SAFE.fullmatch(escape(text))
    assert re.fullmatch(r"% [^\n\r\x00-\x1f\u2028\u2029]*\n", comment(text))


@given(st.text())
def test_braces_are_balanced_as_bibtex_counts_them(text: str) -> None:
    depth = 0
    for char in escape(text):
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
