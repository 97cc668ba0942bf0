"""Words: the characters of spans that a source names by their text and the number of their first word, as WSC does."""

from __future__ import annotations

import re

import pyarrow as pa


def located(table: pa.Table) -> dict[str, list[int]]:
    """Return the columns ``span1_start``, ``span1_end``, ``span2_start`` and ``span2_end``: characters of ``text``.

    Args:
        table: has ``text``, ``span1_index``, ``span1_text``, ``span2_index`` and ``span2_text``.
    """
    found: dict[str, list[int]] = {}
    texts = table.column("text").to_pylist()
    for number in (1, 2):
        words = table.column(f"span{number}_index").to_pylist()
        spans = table.column(f"span{number}_text").to_pylist()
        edges = [locate(*row) for row in zip(texts, words, spans, strict=True)]
        found |= {f"span{number}_start": [edge[0] for edge in edges], f"span{number}_end": [edge[1] for edge in edges]}
    return found


def locate(text: str, word: int, span: str) -> tuple[int, int]:
    """Return where a span lies in a text, in characters, the end exclusive.

    It is the occurrence of the span's words (whatever their case, the space between them and a full stop after them)
    that begins nearest to the word that is named: a few rows count their words otherwise. Where the text has no such
    words, as a few rows quote it otherwise, it is as many words as the span has from the named one on.

    Args:
        text: the text.
        word: the number of the span's first word, from 0; words are what white space separates.
        span: the words of the span.
    """
    words = [match.span() for match in re.finditer(r"\S+", text)] or [(0, 0)]
    first = min(max(word, 0), len(words) - 1)
    begin = words[first][0]
    asked = span.rstrip(". ").split()
    pattern = r"\s+".join(map(re.escape, asked))
    places = [match.span() for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)] if asked else []
    if places:
        return min(places, key=lambda place: abs(place[0] - begin))
    return begin, words[min(first + max(len(asked), 1), len(words)) - 1][1]
