"""Texts of strangers as LaTeX and BibTeX take them: nothing in them is a command."""

from __future__ import annotations

import unicodedata

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # BibTeX would count a plain escaped one as a brace
    "}": r"\textbraceright{}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "\u2212": "$-$",
    "\u2014": "---",
    "\u2019": "'",
}


def escape(text: str) -> str:
    """Return a text that LaTeX sets as it reads, on one line; control characters become spaces."""
    return "".join(_COMMANDS.get(char, char) for char in plain(text))


def plain(text: str) -> str:
    """Return a text on one line: no control, format or line character is left in it."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs") else char for char in text)
    return " ".join("".join(kept).split())


def comment(text: str) -> str:
    """Return a comment of one line."""
    return f"% {plain(text)}\n"
