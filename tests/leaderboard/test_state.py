"""What a site was built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard import state
from tests.leaderboard.making import Made, answers

KEPT = state.State("in", "out", ("a.html",), 3, ("bad file",))


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    state.write(tmp_path, KEPT)
    assert state.read(tmp_path) == KEPT
    assert [path.name for path in tmp_path.iterdir()] == [state.STATE]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"inputs": 1}', "null", '"text"'])
def test_a_state_that_cannot_be_used_is_none(tmp_path: Path, text: str) -> None:
    assert state.read(tmp_path) is None
    (tmp_path / state.STATE).write_text(text)
    assert state.read(tmp_path) is None


def test_inputs_are_records_items_starts_and_what_was_asked(tmp_path: Path) -> None:
    place = Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path)
    first = state.inputs_digest([tmp_path], "asked")
    assert state.inputs_digest([tmp_path], "asked") == first
    assert state.inputs_digest([tmp_path], "otherwise") != first
    (place / "log.txt").write_text("not read by a board")
    assert state.inputs_digest([tmp_path], "asked") == first
    (place / "started.json").write_text("{}")
    assert state.inputs_digest([tmp_path], "asked") != first


def test_outputs_notice_edits_and_losses(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("one")
    first = state.outputs_digest(tmp_path, ["a.html"])
    assert state.outputs_digest(tmp_path, ["a.html"]) == first
    (tmp_path / "a.html").write_text("longer")
    second = state.outputs_digest(tmp_path, ["a.html"])
    (tmp_path / "a.html").unlink()
    assert len({first, second, state.outputs_digest(tmp_path, ["a.html"])}) == 3
