"""Answer files have the lines that the servers' own descriptions show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import registry
from runners.answer_files import FORMS


@pytest.mark.parametrize(
    ("form", "index", "said", "lines"),
    [
        ("tsv", [0, 1], ["entailment", "not_entailment"], ["index\tprediction", "0\tentailment", "1\tnot_entailment"]),
        ("tsv", [0, 1], [1, 0], ["index\tprediction", "0\t1", "1\t0"]),
        ("tsv", [0, 1], [4.25, 0.0], ["index\tprediction", "0\t4.250", "1\t0.000"]),
        ("json", [0, 7], ["true", "false"], ['{"idx": 0, "label": "true"}', '{"idx": 7, "label": "false"}']),
        ("json", [3], [1], ['{"idx": 3, "label": 1}']),
        ("json", [3], ['Ann "A" É'], ['{"idx": 3, "label": "Ann \\"A\\" \\u00c9"}']),
    ],
)
def test_a_row_is_a_line(form: str, index: list[Any], said: list[Any], lines: list[str]) -> None:
    assert list(FORMS[form](index, said)) == lines


def test_answers_stand_under_their_question_and_paragraph() -> None:
    rows = [(0, 0, 0, 1), (0, 0, 1, 0), (0, 1, 0, 0), (2, 5, 0, 1)]
    index = [{"paragraph": p, "question": q, "answer": a} for p, q, a, _ in rows]
    lines = [json.loads(line) for line in FORMS["json by paragraph"](index, [label for *_, label in rows])]
    assert lines == [
        {
            "idx": 0,
            "passage": {
                "questions": [
                    {"idx": 0, "answers": [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]},
                    {"idx": 1, "answers": [{"idx": 0, "label": 0}]},
                ]
            },
        },
        {"idx": 2, "passage": {"questions": [{"idx": 5, "answers": [{"idx": 0, "label": 1}]}]}},
    ]


def test_every_file_of_every_server_has_a_form_and_a_task_with_hidden_rows() -> None:
    assert set(registry.submissions()) == {"glue", "superglue"}
    for targets in registry.submissions().values():
        for target in targets:
            assert target["form"] in FORMS
            assert target.keys() <= {"file", "task", "form", "labels", "index"}
            card = registry.load_task(str(target["task"])).card
            assert "hidden" in card.source.splits
        assert len({str(target["file"]) for target in targets}) == len(targets) >= 10
