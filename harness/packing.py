"""Packing: the requests of a part and their tokens as one table, from which both are had again without making them.

One row per request, in the order in which the requests were made; a whole text has a further row for each further
window. What is not in it (lm-eval's tasks, the documents, the right answers) is quickly made anew from the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.encoding import Encoded, Tokens
from harness.requests import Asked, Told

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("document", "kind", "index", "arguments", "context", "continuation", "cut")


class Packed(NamedTuple):
    """One document: what is asked of the model, and the tokens of it."""

    told: tuple[Told, ...]
    tokens: Tokens


def pack(asked: Asked, encoded: Sequence[Encoded], order: Sequence[int]) -> pa.Table | None:
    """Return the requests of some items and their tokens as a table; null where a request holds more than text.

    Args:
        asked: the requests.
        encoded: their tokens.
        order: the numbers of the items in the order in which they were asked.
    """
    import pyarrow as pa

    rows: list[tuple[Any, ...]] = []
    try:
        for document, number in enumerate(order):
            rows += _rows(document, asked.items[number].instances, encoded[number].tokens)
    except TypeError:  # a picture or a sound
        return None
    columns = list(zip(*rows, strict=True))
    kinds = (pa.int32(), pa.string(), pa.int32(), pa.string(), pa.list_(pa.int32()), pa.list_(pa.int32()), pa.bool_())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(COLUMNS, arrays, strict=True)))


def _rows(document: int, instances: Sequence[Any], tokens: Tokens) -> Iterator[tuple[Any, ...]]:  # Any: as Item has it
    for number, (context, continuation) in enumerate(tokens.pairs):
        kind, index, arguments = None, None, None
        if number < len(instances):
            one = instances[number]
            kind, index, arguments = one.request_type, one.idx, json.dumps(one.args, ensure_ascii=False)
        yield document, kind, index, arguments, context, continuation, tokens.is_cut


def unpack(table: pa.Table) -> list[Packed]:
    """Return what a table holds of each document.

    Raises:
        ValueError: for a table of another form.
    """
    if tuple(table.column_names) != COLUMNS or not table.num_rows:
        raise ValueError(f"a table of {table.num_rows} rows with {', '.join(table.column_names)} holds no requests")
    documents, kinds, indices, texts, cut = (table.column(name).to_pylist() for name in (*COLUMNS[:4], "cut"))
    contexts, continuations = (_lists(table.column(name)) for name in ("context", "continuation"))
    told: list[list[Told]] = [[] for _ in range(documents[-1] + 1)]
    pairs: list[list[tuple[list[int], list[int]]]] = [[] for _ in told]
    cuts = [False] * len(told)
    for row, document in enumerate(documents):
        if row and contexts[row] == contexts[row - 1]:
            contexts[row] = contexts[row - 1]  # the answers to one text: they share its tokens in memory too
        pairs[document].append((contexts[row], continuations[row]))
        cuts[document] |= cut[row]
        if kinds[row] is not None:
            told[document].append(Told(kinds[row], indices[row], tuple(json.loads(texts[row]))))
    return [Packed(tuple(a), Tokens(tuple(b), c)) for a, b, c in zip(told, pairs, cuts, strict=True)]


def _lists(column: pa.ChunkedArray) -> list[list[int]]:
    """Return a column of lists as Python has them; Arrow's own conversion takes ten times as long."""
    found: list[list[int]] = []
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets: list[int] = np.asarray(chunk.offsets).tolist()
        found += [values[start:end].tolist() for start, end in zip(offsets, offsets[1:], strict=False)]
    return found
