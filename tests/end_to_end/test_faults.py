"""Methods that fail, workers that are killed and disks that are full: what they cost, and what they leave."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from harness.api import SuiteResult, build_board, plan_suite, run_suite
from harness.record import LOG_FILE, RECORD_FILE, STARTED_FILE, TRAINED_FILE, Record, read_record
from harness.running import report
from harness.spec import Spec
from runners.attempt import attempts, read_started
from runners.savepoint import SAVEPOINT_FILE
from tests.end_to_end.watching import held, tried, unchanged, until
from tests.runners.faulty import GATE, SECRET, contents, suite


@dataclass
class Battered:
    """What a suite left whose first method fails, whose third is killed, and whose last meets a full disk."""

    out: Path
    result: SuiteResult
    events: list[tuple[str, Mapping[str, Any]]]
    before: dict[str, bytes]
    """The files when the worker was killed."""

    def tried(self, method: str) -> list[Record]:
        (spec,) = [run.spec for run in self.result.plan.runs if run.spec.method == method]
        return tried(self.out, spec)


@pytest.fixture(scope="module")
def battered(plugins: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Battered:
    out, gate = tmp_path_factory.mktemp("battered"), Path(os.environ[GATE])
    gate.touch()
    events: list[tuple[str, Mapping[str, Any]]] = []
    before: dict[str, bytes] = {}

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        assert spec is not None
        events.append((spec.method, event))
        if spec.method == "waiting" and event["type"] == "started" and not before:
            attempt = until(lambda: held(out, spec), "the first step")
            before.update(contents(out))
            os.kill(read_started(attempt).owner.pid, signal.SIGKILL)
            gate.unlink()

    asked = suite(["leaky", "head_only", "waiting", "fills_disk"])
    result = run_suite(asked, out=out, workers=1, device="cpu", observe=lambda plan: observe)
    return Battered(out, result, events, before)


def test_a_killed_worker_costs_one_attempt_which_is_lost_with_its_last_words(battered: Battered) -> None:
    lost, again = battered.tried("waiting")
    assert (lost.status, again.status) == ("lost", "ok")
    assert lost.error is not None
    assert lost.error.kind == "WorkerDied"
    assert "-9" in lost.error.message
    assert lost.error.log_tail == ("reached step 1",)
    told = [event for method, event in battered.events if method == "waiting" and event["type"] == "ended"]
    assert [(event["status"], event.get("again", False)) for event in told] == [("lost", True), ("ok", False)]


def test_all_other_records_are_byte_equal(battered: Battered) -> None:
    assert {read_record(battered.out / name).spec.method for name in battered.before if RECORD_FILE in name} == {
        "leaky",
        "head_only",
    }
    assert unchanged(battered.before, battered.out)


def test_a_method_that_fails_does_not_keep_the_others_from_running(battered: Battered) -> None:
    (failed,), (ok,) = battered.tried("leaky"), battered.tried("head_only")
    assert (failed.status, ok.status) == ("failed", "ok")
    assert failed.error is not None
    assert "Traceback (most recent call last):" in failed.error.log_tail
    assert failed.error.log_tail[-1].startswith("RuntimeError: could not log in with <masked>")
    plan = plan_suite(suite(["leaky", "head_only"]), out=battered.out)
    assert (plan.counts()["done"], plan.ok()) == (2, False)
    retried = plan_suite(suite(["leaky", "head_only"]), out=battered.out, retry=["failed"])
    assert [run.state for run in retried.runs] == ["todo", "done"]


def test_a_full_disk_ends_the_attempt_and_leaves_no_part_of_a_record(battered: Battered) -> None:
    found = battered.tried("fills_disk")
    assert [record.status for record in found] == ["lost", "lost"]
    for record in found:
        folder = battered.out / record.run_id / f"{record.attempt:03}"
        assert {path.name for path in folder.iterdir()} == {STARTED_FILE, LOG_FILE, RECORD_FILE}
    states = {run.spec.method: run.state for run in plan_suite(suite(["fills_disk", "waiting"]), out=battered.out).runs}
    assert states == {"fills_disk": "todo", "waiting": "done"}


def test_no_file_and_no_page_holds_the_secret(battered: Battered, tmp_path: Path) -> None:
    build_board([battered.out], tmp_path / "site")
    files = [path for folder in (battered.out, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    masked = sum(b"<masked>" in path.read_bytes() for path in files)
    assert masked >= 2  # the log and the record at least: it was printed


def test_the_advice_for_what_is_not_ok_is_a_command_that_helps(battered: Battered) -> None:
    printed = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        report(
            Console(file=printed, highlight=False), battered.result, ["paretune", "run", "faults", "--out", "my runs"]
        )
    assert ended.value.code == 1
    last = printed.getvalue().splitlines()[-1]
    assert last == "try what is not ok again with: paretune run faults --out 'my runs' --retry failed"


def test_a_long_run_whose_worker_is_killed_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    long = {"training": {"epochs": 8, "batch_size": 4, "max_length": 24, "lr": 1e-2}, "keep": "all"}
    asked = suite([{"lora": {"rank": 2}}], checkpoint_minutes=1e-6, **long)
    killed: list[int] = []

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        assert spec is not None
        if event["type"] == "step" and event["epoch"] == 3 and not killed:
            attempt = attempts(tmp_path / "killed", spec.run_id)[0]
            killed.append(read_started(attempt).owner.pid)
            os.kill(killed[0], signal.SIGKILL)

    run_suite(asked, out=tmp_path / "killed", workers=1, device="cpu", observe=lambda plan: observe)
    run_suite(suite([{"lora": {"rank": 2}}], **long), out=tmp_path / "whole", workers=1, device="cpu")
    (spec,) = [run.spec for run in plan_suite(asked, out=tmp_path / "whole").runs]
    (whole,), (lost, rest) = tried(tmp_path / "whole", spec), tried(tmp_path / "killed", spec)
    assert (lost.status, rest.status) == ("lost", "ok")
    assert rest.notes[-1] == "continued from the savepoint of attempt 001"
    assert rest.validation == whole.validation
    assert rest.scores == whole.scores
    kept, going_on = (
        load_file(tmp_path / place / TRAINED_FILE)
        for place in (f"whole/{spec.run_id}/001", f"killed/{spec.run_id}/002")
    )
    assert kept.keys() == going_on.keys()
    assert all(torch.equal(kept[name], going_on[name]) for name in kept)
    assert not list(tmp_path.rglob(SAVEPOINT_FILE))
