from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.matrix import expand
from harness.record import LOG_FILE, RECORD_FILE, STARTED_FILE, UnreadableRecord, read_record
from harness.spec import Spec
from runners.attempt import (
    CLOCK_STEP,
    Attempt,
    attempts,
    close_without_worker,
    failure,
    is_alive,
    log_tail,
    open_attempt,
    owner,
    read_started,
    records,
    unfinished,
)
from tests.runners.faulty import SECRET, installed, suite


def a_spec(method: str = "head_only") -> Spec:
    return expand(suite([method])).specs[0]


def opened(out: Path, method: str = "head_only") -> Attempt:
    return open_attempt(out, a_spec(method), "small")


def test_an_attempt_says_who_runs_what_before_any_work(tmp_path: Path) -> None:
    attempt = opened(tmp_path)
    started = read_started(attempt)
    assert attempt.folder == tmp_path / a_spec().run_id / "001"
    assert (started.spec, started.suite, started.attempt) == (a_spec(), "small", 1)
    assert started.owner.pid == os.getpid()
    assert is_alive(started.owner)


def test_attempts_opened_at_once_get_different_numbers(tmp_path: Path) -> None:
    threads = [threading.Thread(target=opened, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [attempt.number for attempt in attempts(tmp_path, a_spec().run_id)] == list(range(1, 9))
    assert len(list(unfinished(tmp_path))) == 8


def test_attempts_are_ordered_by_number_and_other_folders_are_none(tmp_path: Path) -> None:
    run = tmp_path / a_spec().run_id
    for name in ("002", "1000", "999", "notes"):
        (run / name).mkdir(parents=True)
    assert [attempt.number for attempt in attempts(tmp_path, a_spec().run_id)] == [2, 999, 1000]
    assert opened(tmp_path).number == 1001


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({}, True),
        ({"process_started": 3600.0}, True),  # the clock was set: what is counted from the machine's start did not move
        ({"start_ticks": 1}, False),
        ({"start_ticks": None, "process_started": CLOCK_STEP / 2}, True),
        ({"start_ticks": None, "process_started": 100.0}, False),
        ({"host": "elsewhere"}, True),  # nothing can be told of it
        ({"boot_id": "another"}, False),
        ({"pid": -1}, False),
        ({"pid": 2**70}, False),
    ],
)
def test_an_owner_is_known_again_by_pid_start_host_and_boot(change: dict[str, Any], alive: bool) -> None:
    me = owner()
    if "process_started" in change:
        change = change | {"process_started": me.process_started + change["process_started"]}
    assert is_alive(me.model_copy(update=change)) is alive


def test_a_process_that_ended_is_not_alive_even_before_it_is_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    begun = {"process_started": psutil.Process(child.pid).create_time(), "start_ticks": None}
    facts = owner().model_copy(update={"pid": child.pid, **begun})
    assert is_alive(facts)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not is_alive(facts)
    child.communicate()
    assert not is_alive(facts)


def test_closing_without_a_worker_keeps_the_log_and_drops_what_no_record_tells_of(tmp_path: Path) -> None:
    attempt = opened(tmp_path)
    (attempt.folder / LOG_FILE).write_text("".join(f"line {number}\n" for number in range(30)), encoding="utf-8")
    results = ("items.parquet", "trained.safetensors", "trained.json")
    for name in (*results, ".record.json.7.partial", ".items.parquet.partial", ".trained.json.7.partial"):
        (attempt.folder / name).write_bytes(b"half")
    record = close_without_worker(attempt, "lost", "WorkerDied", "code -9")
    assert sorted(path.name for path in attempt.folder.iterdir()) == [LOG_FILE, RECORD_FILE, STARTED_FILE]
    assert read_record(attempt.folder / RECORD_FILE) == record
    assert (record.status, record.suite, record.attempt) == ("lost", "small", 1)
    assert record.error is not None
    assert record.error.log_tail == tuple(f"line {number}" for number in range(10, 30))
    assert set(record.task_cards) == {"embedded/polarity"}
    assert record.method_card["name"] == "head_only"
    assert not list(unfinished(tmp_path))


def test_a_record_that_the_worker_wrote_after_all_is_left_as_it_is(tmp_path: Path) -> None:
    attempt = opened(tmp_path)
    close_without_worker(attempt, "failed", "ValueError", "its own words")
    before = (attempt.folder / RECORD_FILE).read_bytes()
    record = close_without_worker(attempt, "lost", "WorkerDied", "code -9")
    assert record.status == "failed"
    assert (attempt.folder / RECORD_FILE).read_bytes() == before


def test_an_attempt_of_a_plugin_that_is_gone_can_be_closed(tmp_path: Path, faulty_folder: Path) -> None:
    with installed(faulty_folder):
        attempt = opened(tmp_path, "scaled")
    record = close_without_worker(attempt, "lost", "OwnerDied", "gone")
    assert (record.status, record.method_card) == ("lost", {})
    assert read_record(attempt.folder / RECORD_FILE) == record


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (RECORD_FILE, '{"schema_version": 1, "run_', "not a record"),
        (RECORD_FILE, '{"something": "else"}', "not a record"),
        (RECORD_FILE, "[]", "not a record"),
        (STARTED_FILE, '{"attempt": 1, "own', "does not tell who started this attempt"),
        (STARTED_FILE, '{"something": "else"}', "does not tell who started this attempt"),
    ],
)
def test_damaged_and_foreign_files_are_named_and_the_others_used(
    tmp_path: Path, file: str, text: str, says: str
) -> None:
    damaged, good = opened(tmp_path), opened(tmp_path)
    close_without_worker(good, "failed", "ValueError", "wrong")
    (damaged.folder / file).write_text(text, encoding="utf-8")
    readable, problems = records(tmp_path, a_spec().run_id)
    assert [record.attempt for record in readable] == [2]
    (problem,) = problems
    assert str(damaged.folder / file) in problem
    assert says in problem


def test_a_record_in_the_folder_of_another_run_is_not_used(tmp_path: Path) -> None:
    other = opened(tmp_path, "base")
    close_without_worker(other, "failed", "ValueError", "wrong")
    place = tmp_path / a_spec().run_id / "001"
    place.mkdir(parents=True)
    for name in (RECORD_FILE, STARTED_FILE):
        (place / name).write_bytes((other.folder / name).read_bytes())
    readable, problems = records(tmp_path, a_spec().run_id)
    assert not readable
    assert f"is of run {other.run_id}" in problems[0]
    with pytest.raises(UnreadableRecord, match="lies in the folder"):
        read_started(Attempt(place, a_spec().run_id, 1))


def test_a_running_attempt_is_no_problem(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / a_spec().run_id / "002").mkdir()  # a worker that is just opening it
    assert records(tmp_path, a_spec().run_id) == ([], [])


def test_what_a_record_says_of_a_failure_is_masked_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    (tmp_path / LOG_FILE).write_bytes(b"x" * 100_000 + b"\nbad \xff byte\n")
    told = failure("ValueError", f"{SECRET} in {tmp_path}/file.py " + "y" * 100_000 + "\udc80", tmp_path)
    text = json.dumps(told.model_dump(mode="json"))
    assert SECRET not in text
    assert str(tmp_path) not in text
    assert len(text) < 5_000
    assert told.log_tail[1] == "bad \ufffd byte"


def test_an_attempt_without_a_log_has_no_last_lines(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ()
