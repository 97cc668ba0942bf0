"""Rows become lm-eval's requests, with the answers that lm-eval takes for right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingPrerequisite, NotApplicable, UnknownName
from harness.requests import Asked, answer_text, ask, refuse_unknown_filter
from tests.tasks.lm_tasks import TASKS, write


def asked(folder: Path, name: str, **change: Any) -> Asked:
    toys = write(folder, {name: TASKS[name] | change})
    return ask(toys.part(name), f"path:{toys.folder / name}.yaml")


def test_the_right_answer_is_a_number_a_text_or_several(tmp_path: Path) -> None:
    by_number = asked(tmp_path / "a", "choice")
    by_text = asked(tmp_path / "b", "choice", doc_to_target="{{['red', 'green', 'dark blue'][colour]}}")
    several = asked(tmp_path / "c", "choice", doc_to_target="{{[colour, (colour + 1) % 3]}}")
    colours = [(number * 7) % 3 for number in range(13)]
    assert [item.gold for item in by_number.items] == [(colour,) for colour in colours]
    assert [item.gold for item in by_text.items] == [(colour,) for colour in colours]
    assert [item.gold for item in several.items] == [(colour, (colour + 1) % 3) for colour in colours]
    assert {item.num_choices for item in by_number.items} == {3}


def test_where_inputs_differ_the_right_one_is_what_the_text_says(tmp_path: Path) -> None:
    found = asked(tmp_path, "inputs")
    assert [item.gold for item in found.items][:4] == [(0,), (1,), (2,), (0,)]
    assert found.items[0].instances[1].args == ("A thing 0 is green", " and small.")


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, " very large###"),
        ({"target_delimiter": "\n"}, "\nvery large###"),
        ({"doc_to_target": "{{[size, 'big']}}"}, " very large###"),
        ({"doc_to_target": "colour"}, " 2###"),
        ({"doc_to_target": "colour", "doc_to_choice": ["a", "b", "c"]}, " c###"),
        ({"gen_prefix": "It is"}, " very large###"),
    ],
)
def test_an_answer_is_written_as_in_a_demonstration(change: dict[str, Any], answer: str, tmp_path: Path) -> None:
    found = asked(tmp_path, "text", **change)
    item = found.items[2]
    assert answer_text(item, "###") == answer
    assert item.instances[0].args[0].endswith("It is" if "gen_prefix" in change else "Size:")


def test_the_number_of_generated_tokens_can_be_set(tmp_path: Path) -> None:
    toys = write(tmp_path, {"text": TASKS["text"] | {"generation_kwargs": {"until": ["x"], "max_new_tokens": 40}}})
    part, reference = toys.part("text"), f"path:{toys.folder / 'text.yaml'}"
    assert ask(part, reference).items[0].instances[0].args[1]["max_new_tokens"] == 40
    assert ask(part, reference, max_gen_tokens=7).items[0].instances[0].args[1] == {"until": ["x"], "max_gen_toks": 7}


def test_rows_that_a_task_cannot_read_are_named_with_their_columns(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"cannot be read .* it has the columns thing, size, colour"):
        asked(tmp_path, "text", doc_to_text="{{passage}}")


def test_a_task_that_asks_in_two_ways_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETUNE_ALLOW_CODE", "1")
    (tmp_path / "code.py").write_text(
        "from lm_eval.api.task import ConfigurableTask\n"
        "from lm_eval.api.instance import Instance\n"
        "class Both(ConfigurableTask):\n"
        "    def construct_requests(self, doc, ctx, **kwargs):\n"
        "        kwargs = {'metadata': kwargs['metadata']}\n"
        "        return [Instance('loglikelihood', doc, (ctx, ' a'), 0, **kwargs),\n"
        "                Instance('generate_until', doc, (ctx, {'until': ['x']}), 1, **kwargs)]\n"
    )
    toys = write(tmp_path / "toys", {"text": TASKS["text"]})
    path = toys.folder / "text.yaml"
    (toys.folder / "code.py").write_text((tmp_path / "code.py").read_text())
    text = path.read_text()
    card = toys.part("text")
    path.write_text(f"{text}class: !function code.Both\n")
    with pytest.raises((NotApplicable, MissingPrerequisite), match="generate_until and loglikelihood at once"):
        ask(card, f"path:{path}")


@pytest.mark.parametrize("task", ["choice", "text"])
def test_a_label_that_is_no_answers_number_is_named_with_its_row_and_what_is_allowed(task: str, tmp_path: Path) -> None:
    change = {"doc_to_target": "colour", "doc_to_choice": ["red", "green"]}
    message = (
        r"row 2 has the label 2 in column colour; path:\S+ lists 2 answers, so 0 to 1 are allowed \(red, green\), and "
        r"-1 for labels that are not public; mend the data, or doc_to_choice"
    )
    with pytest.raises(MissingPrerequisite, match=message):
        asked(tmp_path, task, **change)


def test_a_filter_that_a_task_has_is_known_before_anything_is_answered(tmp_path: Path) -> None:
    found = asked(tmp_path, "text", filter_list=[{"name": "first", "filter": [{"function": "take_first"}]}])
    for chosen in (None, "first"):
        refuse_unknown_filter(found, chosen)
    with pytest.raises(UnknownName, match="unknown filter 'frist' in toy_text; did you mean first"):
        refuse_unknown_filter(found, "frist")
