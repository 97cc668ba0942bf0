"""Tables as CSV that a spreadsheet may open although strangers wrote some of the texts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence

_STARTS_FORMULA = re.compile(r"[=+\-@\t\r\n]|\uff1d|\uff0b|\uff0d|\uff20")
"""What a spreadsheet takes for the beginning of a formula, the full-width forms too."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
QUOTE = "'"


def table(fields: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """Return a header and one line for each mapping; what a mapping lacks stays empty."""
    text: list[str] = []
    writer = csv.DictWriter(_Lines(text), fields, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in line.items()} for line in lines)
    return "".join(text)


class _Lines:
    """Takes lines as the writer ends them, and ends them plainly.

    The writer quotes only what it ends lines with, and many readers begin a new line at a bare carriage return.
    """

    def __init__(self, text: list[str]) -> None:
        self.text = text

    def write(self, line: str) -> None:
        self.text.append(line.removesuffix("\r\n") + "\n")


def _safe(value: object) -> object:
    return harmless(value) if isinstance(value, str) else value


def harmless(text: str) -> str:
    """Return a text that no spreadsheet runs: an apostrophe stands before what would begin a formula.

    Numbers stay as they are. Apostrophes that stood there already get one more, so that one taken off from before a
    formula always gives the text back.
    """
    bare = text.lstrip(" " + QUOTE)
    if _STARTS_FORMULA.match(bare) and not _NUMBER.fullmatch(text):
        return QUOTE + text
    return text
