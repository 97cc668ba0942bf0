"""Answer files: predictions in the forms that test servers take.

``tsv``                a table of ``index`` and ``prediction``; a number that is no class with three decimals
``json``               per row ``{"idx": 7, "label": "entailment"}``
``json by paragraph``  per paragraph ``{"idx": 0, "passage": {"questions": [{"idx": 0, "answers": [...]}]}}``, where an
                       answer is ``{"idx": 0, "label": 1}``; a row is named by ``paragraph``, ``question``, ``answer``
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Form = Callable[[Sequence[Any], Sequence[Any]], Iterator[str]]
"""What names each row, and what is said of it, to the lines of a file (Any: numbers, texts, mappings)."""


def _tsv(index: Sequence[Any], said: Sequence[Any]) -> Iterator[str]:
    yield "index\tprediction"
    for row, value in zip(index, said, strict=True):
        yield f"{row}\t{value:.3f}" if isinstance(value, float) else f"{row}\t{value}"


def _json(index: Sequence[Any], said: Sequence[Any]) -> Iterator[str]:
    for row, value in zip(index, said, strict=True):
        yield json.dumps({"idx": row, "label": value})


def _json_by_paragraph(index: Sequence[Any], said: Sequence[Any]) -> Iterator[str]:
    paragraphs: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for row, value in zip(index, said, strict=True):
        answers = paragraphs.setdefault(row["paragraph"], {}).setdefault(row["question"], [])
        answers.append({"idx": row["answer"], "label": value})
    for paragraph, questions in paragraphs.items():
        listed = [{"idx": question, "answers": answers} for question, answers in questions.items()]
        yield json.dumps({"idx": paragraph, "passage": {"questions": listed}})


FORMS: dict[str, Form] = {"tsv": _tsv, "json": _json, "json by paragraph": _json_by_paragraph}
