from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.api import run_suite
from harness.matrix import expand
from harness.record import Record
from runners.attempt import records
from runners.local import LocalExecutor, default_workers
from runners.process import Options
from runners.queue import Queue
from tests.runners.conftest import SIX, Finished
from tests.runners.faulty import answer, suite


def by_method(found: list[Record]) -> dict[str, Any]:
    return {record.spec.method: answer(record) for record in found if record.status == "ok"}


def test_one_worker_two_workers_and_this_process_give_the_same_to_the_last_bit(
    finished: Finished, tmp_path: Path, warm: Any
) -> None:
    from runners.worker import run_one

    # One worker ran the six one after another; here two share them in the opposite order, each warm after others.
    two = run_suite(suite(SIX[::-1]), out=tmp_path / "two", workers=2, device="cpu")
    # And here every method comes first, in a backbone that nothing ran in before, and once more after itself.
    first, again = [], []
    for spec in expand(suite(SIX)).specs:
        warm.backbones.clear()
        for found, name in ((first, "first"), (again, "again")):
            found.append(run_one(spec, tmp_path / name, warm, None, "final", lambda event: None)[0])
    reference = by_method(finished.result.records)
    assert len(reference) == 6
    assert by_method(two.records) == reference
    assert by_method(first) == reference
    assert by_method(again) == reference
    assert [record.environment["threads"] for record in (*two.records, *first)] == [1] * 12


def test_a_run_over_its_time_is_stopped_and_not_tried_again(
    tmp_path: Path, faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    monkeypatch.setenv("PARETUNE_TEST_GATE", str(gate))
    told: list[Any] = []
    (spec,) = expand(suite(["waiting"])).specs
    options = Options(tmp_path, max_minutes=0.05)
    LocalExecutor(options, lambda spec, event: told.append(event), Queue([spec])).run()
    (record,), problems = records(tmp_path, spec.run_id)
    assert not problems
    assert record.status == "timed_out"
    assert record.error is not None
    assert "max_minutes (0.05)" in record.error.message
    assert (told[-1]["type"], told[-1]["status"], told[-1]["again"]) == ("ended", "timed_out", False)


def test_workers_that_cannot_start_leave_records_that_say_why(tmp_path: Path) -> None:
    told: list[Any] = []
    (spec,) = expand(suite(["base"])).specs
    options = Options(tmp_path, "faults", mirror=tmp_path / "nowhere")
    LocalExecutor(options, lambda spec, event: told.append(event), Queue([spec])).run()
    found, _ = records(tmp_path, spec.run_id)
    assert [(record.status, record.suite) for record in found] == [("lost", "faults")] * 2
    assert [event["again"] for event in told] == [True, False]
    error = found[1].error
    assert error is not None
    assert "before this attempt began" in error.message
    assert "is not a folder" in error.message
    assert str(tmp_path) not in error.message


def test_what_the_observer_raises_ends_the_run_and_is_raised(tmp_path: Path) -> None:
    def observe(spec: Any, event: Any) -> None:
        raise BrokenPipeError("nobody reads")

    specs = expand(suite(["base", "head_only"])).specs
    executor = LocalExecutor(Options(tmp_path, mirror=tmp_path / "nowhere"), observe, Queue(specs))
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        executor.run()
    assert [len(records(tmp_path, spec.run_id)[0]) for spec in specs] == [1, 0]
    assert not executor._seats


def test_nothing_to_run_starts_nothing(tmp_path: Path) -> None:
    LocalExecutor(Options(tmp_path), lambda spec, event: None, Queue()).run()
    assert not list(tmp_path.iterdir())


def test_workers_are_as_many_as_the_cores_serve() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_workers(1) == cores
    assert default_workers(10_000) == 1
