"""The starting files of a task work as they are, and nothing is lost by writing them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.registry import literals
from harness.scaffold import BadScaffold
from harness.scaffold_task import new_task, task_files
from harness.task import TaskCard
from tests.harness.commands import call


def test_a_new_card_keeps_every_promise_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = call("new", "task", "my_task")
    assert written.code == 0, written.err
    assert {path.name for path in tmp_path.iterdir()} == {"my_task.yaml", "my_task_train.csv", "my_task_evaluation.csv"}
    assert "check it with: paretune check task yaml:my_task.yaml" in written.out
    checked = call("check", "task", "yaml:my_task.yaml")
    assert checked.code == 0, checked.out + checked.err
    assert "9 kept, 0 broken" in checked.out
    again = call("new", "task", "my_task")
    assert (again.code, "is there already and is not overwritten" in again.err) == (2, True)


def test_the_files_of_a_checkout_parse_and_hold_a_valid_card(tmp_path: Path) -> None:
    files = task_files("my_task", checkout=True)
    assert set(files) == {"tasks/my_task.py", "tests/tasks/test_my_task.py"}
    for text in files.values():
        ast.parse(text)
        assert max(map(len, text.splitlines())) <= 120
    (tmp_path / "written.py").write_text(files["tasks/my_task.py"], encoding="utf-8")
    (card,) = literals(tmp_path / "written.py", "CARDS")
    assert TaskCard.model_validate(card).name == "my_task/words"


@pytest.mark.parametrize(("name", "message"), [("My-Task", "is no name for a task"), ("glue", "is registered already")])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BadScaffold, match=message):
        new_task(name, tmp_path, {"glue": None})
    assert list(tmp_path.iterdir()) == []
