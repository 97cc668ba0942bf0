"""Routing: the rows of one part, each met by the lm-eval task that it names itself, such as ``mmlu_{subject}``.

A reference with a column in braces stands for one task per value of that column. Each task has the rows with its value
alone, and its demonstrations are drawn from rows with that value, as if it had been met by itself; the items come back
in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from string import Formatter

import numpy as np

from harness.data import Raw
from harness.errors import MissingPrerequisite
from harness.requests import Asked
from harness.splits import Part


def column_of(reference: str) -> str | None:
    """Return the column that a reference names in braces; null for the reference of one task.

    Raises:
        MissingPrerequisite: for braces that name no single column.
    """
    if reference.startswith("path:"):
        return None
    try:
        columns = [column for _, column, _, _ in Formatter().parse(reference) if column is not None]
    except ValueError as error:
        raise MissingPrerequisite(
            f"{reference!r} is no reference ({error}); write one such as mmlu_{{subject}}"
        ) from error
    if len(columns) > 1 or columns == [""]:
        raise MissingPrerequisite(f"{reference!r} must name one column in braces, such as mmlu_{{subject}}")
    return columns[0] if columns else None


def route(part: Part, reference: str, ask: Callable[[Part, str], Asked]) -> Asked:
    """Return the requests of some rows.

    Args:
        part: the rows.
        reference: of a task, or of several by a column of the rows.
        ask: returns the requests of a part's rows by one task.
    """
    column = column_of(reference)
    if column is None:
        return ask(part, reference)
    values = np.array([str(value) for value in part.values(column)])
    items, kinds = [], set()
    for value in dict.fromkeys(values.tolist()):
        rows = np.flatnonzero(values == value)
        asked = ask(_only(part, column, value, rows), reference.format(**{column: value}))
        items += [replace(item, row=int(rows[item.row])) for item in asked.items]
        kinds.add(asked.kind)
    if len(kinds) > 1:
        raise MissingPrerequisite(f"{part.title}: the tasks {reference} differ in kind ({', '.join(sorted(kinds))})")
    return Asked(kinds.pop(), tuple(sorted(items, key=lambda item: item.row)))


def _only(part: Part, column: str, value: str, rows: np.ndarray) -> Part:
    """Return some of the chosen rows, and a task whose other splits have the rows with their value alone."""
    card, raw = part.task.card, part.raw()
    source = card.source.model_copy(update={"where": {**card.source.where, column: (value,)}})
    task = type(part.task)(card.model_copy(update={"source": source}))
    table = raw.table.take(part.chosen()[rows])
    return replace(part, task=task, indices=None, _cache=[Raw(table, raw.digest, raw.state)])
