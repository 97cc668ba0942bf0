from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingPrerequisite
from harness.record import RECORD_FILE, STARTED_FILE
from runners.attempt import open_attempt, owner
from runners.status import PROGRESS_FILE, SCHEDULER_FILE, Notes, look
from runners.sweep import hold
from tests.end_to_end.watching import until
from tests.runners.faulty import contents
from tests.runners.matrices import a_plan, a_record, ended, specs, started, step, watch, write

NOTE = {
    "pid": os.getpid(),
    "suite": "x",
    "ended": 1,
    "total": 2,
    "seconds_left": 60.0,
    "draining": False,
    "steps": {},
    "at": "2026-01-01T00:00:00+00:00",
}


def noted(out: Path) -> dict[str, Any]:
    path = out / PROGRESS_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def change_owner(folder: Path, **facts: Any) -> None:
    content = json.loads((folder / STARTED_FILE).read_text(encoding="utf-8"))
    content["owner"] |= facts
    (folder / STARTED_FILE).write_text(json.dumps(content), encoding="utf-8")


def test_a_finished_folder_is_counted_by_the_result_of_each_run(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    write(a_record(first), tmp_path)
    write(a_record(first, attempt=2, status="lost"), tmp_path)
    write(a_record(second, status="failed"), tmp_path)
    found = look(tmp_path)
    assert found.counts == {"ok": 1, "failed": 1}
    assert (found.doing, found.unreadable, found.scheduler, found.note, found.seconds_left) == (
        (),
        (),
        None,
        None,
        None,
    )
    assert list(found.lines())[-1] == "no scheduler holds this folder"


def test_what_runs_is_told_from_what_died_and_what_is_elsewhere(tmp_path: Path) -> None:
    here, dead, elsewhere = specs("base", "full", "lora")
    folders = [open_attempt(tmp_path, spec, "faults").folder for spec in (here, dead, elsewhere)]
    change_owner(folders[1], start_ticks=1)
    change_owner(folders[2], host="another", pid=77)
    states = {one.started.run_id: one.state for one in look(tmp_path).doing}
    assert states == {here.run_id: "running", dead.run_id: "gone", elsewhere.run_id: "elsewhere"}
    lines = list(look(tmp_path).lines())
    assert "unfinished     3  (started, no record yet)" in lines
    assert [line for line in lines if f"process {os.getpid()}" in line and "base" in line]
    assert [line for line in lines if "process 77 on another, not seen from here" in line]
    assert [line for line in lines if "the next run in this folder closes it as lost" in line]


def test_a_clock_that_was_set_back_gives_no_negative_time(tmp_path: Path) -> None:
    (spec,) = specs("base")
    folder = open_attempt(tmp_path, spec, None).folder
    content = json.loads((folder / STARTED_FILE).read_text(encoding="utf-8"))
    content["started"] = "2999-01-01T00:00:00.000+00:00"
    (folder / STARTED_FILE).write_text(json.dumps(content), encoding="utf-8")
    assert look(tmp_path).doing[0].seconds == 0.0


def test_a_scheduler_notes_how_far_it_is_and_takes_the_note_away(tmp_path: Path) -> None:
    first, second, third = specs("lora", seeds=[0, 1, 2])
    watched = watch(a_plan([first, second, third]), tmp_path, past=[a_record(first)])
    with hold(tmp_path), Notes(watched):
        watched(first, started(first))
        watched(first, ended())
        attempt = open_attempt(tmp_path, second, "faults")
        watched(second, started(second))
        watched(second, step(8))
        until(lambda: noted(tmp_path).get("steps"), "the note of a step", seconds=30)
        found = look(tmp_path)
        assert found.scheduler is not None
        assert (found.scheduler.pid, found.scheduler.here) == (os.getpid(), True)
        assert found.note is not None
        assert (found.note.ended, found.note.total, found.note.suite) == (1, 3, "faults")
        assert found.seconds_left is not None
        assert 10.0 < found.seconds_left <= 40.0
        (doing,) = found.doing
        assert (doing.started.run_id, doing.step) == (second.run_id, (8, 16))
        text = "\n".join(found.lines())
        assert "step 8/16" in text
        assert f"process {os.getpid()} holds this folder: 1 of 3 runs ended, about " in text
        facts = found.as_json()
        assert facts["progress"] == {"suite": "faults", "ended": 1, "total": 3, "draining": False}
        json.dumps(facts, allow_nan=False)
        watched(None, {"type": "draining"})
        until(lambda: noted(tmp_path).get("draining"), "the note of an interrupt", seconds=30)
        assert "finishing what runs after an interrupt" in list(look(tmp_path).lines())[-1]
    assert not (tmp_path / PROGRESS_FILE).exists()
    assert not list(tmp_path.glob("*.partial"))
    assert look(tmp_path).scheduler is None
    assert attempt.folder.is_dir()


def test_the_time_left_goes_down_while_nothing_is_noted(tmp_path: Path) -> None:
    (tmp_path / SCHEDULER_FILE).write_text(json.dumps(owner().model_dump()), encoding="utf-8")
    for at, low, high in (("2026-01-01T00:00:00+00:00", 0, 0), ("2999-01-01T00:00:00+00:00", 60, 60)):
        (tmp_path / PROGRESS_FILE).write_text(json.dumps({**NOTE, "at": at}), encoding="utf-8")
        left = look(tmp_path).seconds_left
        assert left is not None
        assert low <= left <= high


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_notes_of_a_killed_scheduler_or_damaged_ones_say_nothing(tmp_path: Path, text: str) -> None:
    write(a_record(specs("base")[0]), tmp_path)
    dead = owner().model_dump() | {"start_ticks": 1}
    (tmp_path / SCHEDULER_FILE).write_text(json.dumps(dead), encoding="utf-8")
    (tmp_path / PROGRESS_FILE).write_text(json.dumps(NOTE), encoding="utf-8")
    assert (look(tmp_path).scheduler, look(tmp_path).note) == (None, None)
    (tmp_path / SCHEDULER_FILE).write_text(text, encoding="utf-8")
    assert (look(tmp_path).scheduler, look(tmp_path).note) == (None, None)
    (tmp_path / SCHEDULER_FILE).write_text(json.dumps(owner().model_dump()), encoding="utf-8")
    (tmp_path / PROGRESS_FILE).write_text(text, encoding="utf-8")
    assert look(tmp_path).scheduler is not None
    assert look(tmp_path).note is None


def test_a_scheduler_on_another_machine_is_named_and_not_judged(tmp_path: Path) -> None:
    (tmp_path / SCHEDULER_FILE).write_text(json.dumps(owner().model_dump() | {"host": "another"}), encoding="utf-8")
    found = look(tmp_path)
    assert found.scheduler is not None
    assert not found.scheduler.here
    assert list(found.lines())[-1].endswith("on another, not seen from here holds this folder")


def test_to_look_changes_nothing_and_takes_no_lock(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    write(a_record(first), tmp_path)
    open_attempt(tmp_path, second, "faults")
    with hold(tmp_path):
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        before = contents(tmp_path)
        look(tmp_path)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files
        assert contents(tmp_path) == before
    look(tmp_path)
    with hold(tmp_path):
        pass


def test_a_disk_that_takes_no_note_stops_nothing(tmp_path: Path) -> None:
    watched = watch(a_plan(specs("base")), tmp_path / "gone")
    with Notes(watched):
        time.sleep(0.1)
    assert not (tmp_path / "gone").exists()


def test_half_written_and_foreign_files_are_named_or_left_out(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    broken = write(a_record(first), tmp_path) / RECORD_FILE
    broken.write_text(broken.read_text(encoding="utf-8")[:50], encoding="utf-8")
    (open_attempt(tmp_path, second, None).folder / STARTED_FILE).write_text("{", encoding="utf-8")
    found = look(tmp_path)
    assert (found.counts, found.doing, len(found.unreadable)) == ({}, (), 1)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="gone"):
        look(tmp_path / "gone")
