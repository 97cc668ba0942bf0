"""Texts: references that say what is counted together, and rows of hidden splits; the rest is in test_classify.py."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.backbone import load_tokenizer, locate
from harness.errors import MissingPrerequisite
from harness.splits import num_shared
from tests.tasks.rows import attached, met, part

TOKENIZER = load_tokenizer(locate("tiny:bert"))
GROUPED: dict[str, Any] = {
    "columns": {"text": "s", "question_id": "at.question", "label": "y"},
    "labels": ("no", "yes"),
    "metric": {"name": "multirc.em", "higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0},
}
ROWS: dict[str, list[Any]] = {"s": ["a", "b"], "at": [{"question": 7}, {"question": 8}], "y": [1, 0]}


@pytest.mark.parametrize("field", ["question", "pair"])
def test_references_say_what_rows_are_counted_together(field: str) -> None:
    facts = GROUPED | {"columns": {"text": "s", f"{field}_id": "at.question", "label": "y"}}
    examples = met(facts).encode(part(facts, ROWS), TOKENIZER, 16)
    assert examples.references == [{"label": 1.0, field: "7"}, {"label": 0.0, field: "8"}]
    assert met(facts).perfect(examples) == [1.0, 0.0]


def test_labels_of_hidden_rows_are_not_read() -> None:
    on = attached(GROUPED, "bert")
    examples = on.protocol.encode(part(GROUPED, {**ROWS, "y": [-1, -1]}, "hidden"), TOKENIZER, 16)
    assert list(examples.references) == []
    found = on.evaluator.predict(on.backbone.model, on.protocol, examples)
    assert len(found.values or ()) == 2
    assert found.loss is not None
    assert math.isnan(found.loss)


@pytest.mark.parametrize(
    ("labels", "shown"), [([1, 0.5], "0.5"), ([1, None], "None"), ([[1], [0]], r"\[1\]"), ([1, math.nan], "nan")]
)
def test_labels_of_classes_are_whole_numbers(labels: list[Any], shown: str) -> None:
    row = 0 if isinstance(labels[0], list) else 1
    wanted = f"labels that are no whole numbers, such as {shown} in row {row}; whole numbers from 0 to 1 are allowed"
    with pytest.raises(MissingPrerequisite, match=wanted):
        met(GROUPED).encode(part(GROUPED, {**ROWS, "y": labels}), TOKENIZER, 16)


def test_targets_of_a_regression_need_not_be_whole() -> None:
    facts = {**GROUPED, "columns": {"text": "s", "label": "y"}, "labels": (), "label_range": (0, 5)}
    examples = met(facts).encode(part(facts, {**ROWS, "y": [0.5, 5]}), TOKENIZER, 16)
    assert list(examples.references) == [0.5, 5]


def test_a_row_that_stands_in_both_splits_is_found_whatever_its_group_is_called() -> None:
    again = {**ROWS, "at": [{"question": 1}, {"question": 2}], "s": ["a", "c"]}
    assert num_shared(part(GROUPED, ROWS), part(GROUPED, again)) == 1
