from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import MissingPrerequisite
from harness.record import RECORD_FILE
from runners.found import PUBLISHED, contents, result
from tests.runners.matrices import a_record, specs, write


def test_records_are_found_however_deep_and_their_attempts_are_in_order(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    write(a_record(first, attempt=2, status="lost"), tmp_path / "a")
    write(a_record(first), tmp_path / "b" / "c")
    write(a_record(second), tmp_path)
    found = contents([tmp_path])
    assert found.unreadable == []
    assert [one.record.attempt for one in found.runs[first.run_id]] == [1, 2]
    assert found.runs[second.run_id][0].folder == tmp_path / second.run_id / "001"
    assert found.runs.keys() == {first.run_id, second.run_id}


def test_the_result_is_the_newest_ok_attempt_else_the_newest(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    for number, status in enumerate(("ok", "ok", "lost"), start=1):
        write(a_record(first, attempt=number, status=status), tmp_path)
    for number in (1, 2):
        write(a_record(second, attempt=number, status="failed"), tmp_path)
    runs = contents([tmp_path]).runs
    assert [result(runs[spec.run_id]).record.attempt for spec in (first, second)] == [2, 2]


def test_a_file_that_is_no_record_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    write(a_record(first), tmp_path)
    broken = write(a_record(second), tmp_path) / RECORD_FILE
    broken.write_text("{}", encoding="utf-8")
    found = contents([tmp_path])
    (message,) = found.unreadable
    assert str(broken) in message
    assert "remove its attempt folder" in message
    assert found.runs.keys() == {first.run_id}


def test_no_more_than_asked_is_read(tmp_path: Path) -> None:
    for spec in specs("base", seeds=[0, 1, 2]):
        write(a_record(spec), tmp_path)
    assert len(contents([tmp_path], most=2).runs) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="there is no folder .*gone; give"):
        contents([tmp_path / "gone"])


def test_the_published_records_are_all_readable() -> None:
    found = contents([PUBLISHED])
    assert not found.unreadable
    assert len(found.runs) > 100
