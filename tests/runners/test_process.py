from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.matrix import expand
from harness.record import LOG_FILE, RECORD_FILE, read_record
from runners.process import Deadline, Options, WorkerProcess
from runners.queue import Job
from tests.runners.faulty import suite


def gone(pid: int, seconds: float = 20) -> bool:
    """Return whether a process ends in time."""
    end = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_worker_serves_several_specs_and_dies_at_once_with_what_it_started(tmp_path: Path, faulty: Path) -> None:
    asks, refuses, dies = expand(suite(["asks", "refuses", "forks_and_dies"])).specs
    worker = WorkerProcess(Options(tmp_path, "faults"), threads=1)
    events: list[Any] = []
    assert worker.execute(Job(asks), events.append)
    assert [event["type"] for event in events] == ["started", "step", "step", "step", "ended"]
    folder = Path(events[-1]["folder"])
    assert read_record(folder / RECORD_FILE).status == events[-1]["status"] == "ok"
    # What a method reads is nothing, and not the next job.
    assert "read ''" in (folder / LOG_FILE).read_text(encoding="utf-8")

    assert worker.execute(Job(refuses), events.append)
    assert (events[-1]["status"], events[-1]["message"], worker.usable) == ("not_applicable", "smallest is 7", True)

    began = time.monotonic()
    assert not worker.execute(Job(dies), events.append)
    assert worker.wait() == -signal.SIGKILL
    assert time.monotonic() - began < 20  # its forked child would have held the pipes open for a minute
    assert not worker.usable
    assert not worker.execute(Job(asks), events.append)
    worker.close()


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    (spec,) = expand(suite(["base"])).specs
    worker = WorkerProcess(Options(tmp_path, mirror=tmp_path / "nowhere"), threads=1)
    assert not worker.execute(Job(spec), lambda event: None)
    assert worker.wait() == 1
    assert "is not a folder" in worker.last_words()
    worker.close()
    assert not list(tmp_path.iterdir())


def test_a_worker_whose_scheduler_is_gone_ends_by_itself(tmp_path: Path) -> None:
    worker = WorkerProcess(Options(tmp_path), threads=1)
    assert worker.usable
    worker.close()
    assert gone(worker.pid)


def test_a_worker_finds_modules_where_its_scheduler_does_and_ours_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runners.process import _environment

    (tmp_path / "tasks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/plugins", *sys.path])
    places = _environment()["PYTHONPATH"].split(os.pathsep)
    assert places[:3] == [str(Path(__file__).parents[2]), str(tmp_path), "/plugins"]


def test_a_deadline_counts_from_its_start(tmp_path: Path) -> None:
    worker = WorkerProcess(Options(tmp_path), threads=1)
    never, late = Deadline(worker, None), Deadline(worker, 0.001)
    never.start()
    time.sleep(0.2)
    assert not late.passed()
    assert worker.usable
    soon = Deadline(worker, 0.001)
    soon.start()
    assert worker.wait() == -signal.SIGKILL
    assert soon.passed()
    assert not never.passed()
    worker.close()
