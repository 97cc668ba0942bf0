"""What goes wrong in a matrix and what the rest of it has to suffer from that, which is nothing."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.api import SuiteResult, plan_suite, run_suite
from harness.matrix import expand
from harness.record import Record
from runners import attempt, sweep
from runners.export import export
from runners.queue import EQUAL_ERRORS
from tests.harness.commands import call
from tests.runners.faulty import contents, history, install, installed, states, suite, write_suite

WRONG = ("in_attach", "in_hook", "in_merge", "exhausts")
SEEDS = list(range(EQUAL_ERRORS + 2))


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = install(tmp_path_factory.mktemp("wrong"), WRONG)
    with installed(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(folder)]))
        yield


@pytest.fixture(scope="module")
def suffered(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    """Return what one worker made of a method that always fails, one that fails once, and two that fail elsewhere."""
    out = tmp_path_factory.mktemp("suffered")
    run_suite(suite(["in_hook", "in_merge", "exhausts"]), out=out, workers=1, device="cpu")
    return run_suite(suite(["in_attach", "head_only"], seeds=SEEDS), out=out, workers=1, device="cpu")


def of(result: SuiteResult, method: str) -> list[Record]:
    planned = plan_suite(suite([method], seeds=SEEDS), out=result.out)
    return [run.record for run in planned.runs if run.record]


def test_the_others_go_on_whatever_a_method_does(suffered: SuiteResult) -> None:
    assert Counter(record.status for record in of(suffered, "head_only")) == {"ok": len(SEEDS)}
    (hook,) = of(suffered, "in_hook")
    assert (hook.status, hook.error and hook.error.kind) == ("failed", "KeyError")


def test_memory_that_is_exhausted_ends_the_run_as_such(suffered: SuiteResult) -> None:
    (record,) = of(suffered, "exhausts")
    assert record.status == "out_of_memory"
    assert record.error is not None
    assert record.error.kind == "MemoryError"
    assert "Traceback (most recent call last):" in record.error.log_tail


def test_equal_errors_of_one_method_cancel_its_other_runs_which_a_rerun_starts_anew(suffered: SuiteResult) -> None:
    found = of(suffered, "in_attach")
    assert Counter(record.status for record in found) == {"failed": EQUAL_ERRORS, "cancelled": 2}
    for record in found:
        assert record.error is not None
        if record.status == "cancelled":
            assert record.error.kind == "breaker"
            assert "5 runs of in_attach ended with the same error (RuntimeError: attach went wrong)" in (
                record.error.message
            )
    planned = plan_suite(suite(["in_attach"], seeds=SEEDS), out=suffered.out)
    assert Counter(states(planned)) == {"done": EQUAL_ERRORS, "todo": 2}


def test_a_merge_that_goes_wrong_costs_the_export_and_not_the_run(suffered: SuiteResult, tmp_path: Path) -> None:
    (record,) = of(suffered, "in_merge")
    assert record.status == "ok"
    before = contents(suffered.out)
    with pytest.raises(RuntimeError, match="merge went wrong"):
        export(record.run_id, [suffered.out], tmp_path / "model")
    assert not list(tmp_path.iterdir())
    assert contents(suffered.out) == before


def test_a_suite_that_is_edited_has_new_runs_beside_the_old_and_lists_what_is_stale(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = expand(suite(["base", "head_only"])).specs
    history(out, first, [("ok", True)])
    history(out, second, [("ok", False)])
    before = contents(out)
    file = write_suite(tmp_path / "one.yaml", ["base", "head_only", "bitfit"], seeds=[0, 1])
    told = call("plan", file, "--out", out)
    lines = {line.split()[0]: line for line in told.out.splitlines() if line[:1].isalnum() and "seed" in line}
    assert len(lines) == 6
    assert " done " in lines[first.run_id]
    assert " stale " in lines[second.run_id]
    assert "changed since attempt 1" in lines[second.run_id]
    assert sum("never run" in line for line in lines.values()) == 4
    # Another learning rate is another question: what was answered stays, and is found again when it is asked again.
    edited = plan_suite(file, out=out, settings=["training.lr=0.5"])
    assert set(states(edited)) == {"todo"}
    assert contents(out) == before
    assert states(plan_suite(suite(["base"]), out=out)) == ["done"]


def test_a_clock_that_jumps_back_changes_neither_the_order_of_attempts_nor_what_they_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, hours = suite(["base"]), iter(range(9, 0, -1))
    monkeypatch.setattr(attempt, "now", lambda: f"2030-01-01T{next(hours):02}:00:00.000+00:00")
    (spec,) = expand(asked).specs
    history(tmp_path, spec, [("ok", False), ("lost", True), ("failed", True)])
    found, problems = attempt.records(tmp_path, spec.run_id)
    assert not problems
    assert [record.attempt for record in found] == [1, 2, 3]
    assert all(record.ended < record.started for record in found)
    assert found[2].started < found[0].started
    (run,) = plan_suite(asked, out=tmp_path).runs
    assert (run.state, run.reason) == ("done", "failed; try it again with --retry failed")
    monkeypatch.undo()
    result: Any = run_suite(asked, out=tmp_path, workers=1, device="cpu", retry=["failed"])
    assert result.plan.ok()
    assert [record.attempt for record in result.records] == [4]


def test_a_folder_that_is_full_stops_the_matrix_in_plain_words_and_a_rerun_completes_it(tmp_path: Path) -> None:
    file = write_suite(tmp_path / "suite.yaml", ["base", "head_only"])
    run = [sys.executable, "-m", "harness.cli", "run", str(file), "--out", str(tmp_path / "out"), "--device", "cpu"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    done = subprocess.run(run, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be written any more (File too large); what is finished is kept, so make room there" in done.stderr
    assert "Traceback" not in done.stderr
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert states(plan_suite(file, out=tmp_path / "out")) == ["done", "done"]


def test_what_cannot_be_read_elsewhere_is_not_blamed_on_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "mirror" / "train.parquet"))

    monkeypatch.setattr(sweep, "run", closed)
    with pytest.raises(PermissionError, match=r"train\.parquet"):
        run_suite(suite(["base"]), out=tmp_path / "out", device="cpu", workers=1)
