"""``plan`` and ``run``: the forecast, JSON for machines, and what is printed when a matrix ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from rich.console import Console

from harness.api import SuiteResult
from harness.record import Failure, Record
from harness.running import report
from runners.plan import Planned
from tests.harness.commands import Called, call, no_mirror, write_suite
from tests.runners.matrices import a_plan, a_record, plan_of, specs

__all__ = ["no_mirror"]

ONLY = ("--only", "method=base")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    folder = tmp_path_factory.mktemp("events")
    suite = write_suite(folder)
    return suite, call("run", suite, "--out", folder / "out", "--workers", "1", *ONLY, "--json")


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def told(result: SuiteResult, words: list[str]) -> tuple[int, list[str]]:
    stream = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        report(Console(file=stream, width=120, highlight=False, color_system=None), result, words)
    return int(ended.value.code or 0), stream.getvalue().splitlines()


def test_run_json_prints_events_and_nothing_else(events: tuple[Path, Called]) -> None:
    suite, (code, out, _) = events
    assert code == 0
    types = [event["type"] for event in parsed(out)]
    assert (types[0], types[1], types[-2:]) == ("plan", "started", ["ended", "summary"])
    assert set(types) <= {"plan", "started", "step", "ended", "summary"}
    first, last = parsed(out)[0], parsed(out)[-1]
    assert first["counts"] == {"done": 0, "todo": 1, "stale": 0, "not_applicable": 0}
    assert first["out"] == last["out"] == str(suite.parent / "out")
    assert (last["exit_code"], last["statuses"], last["failures"], last["again"]) == (0, {"ok": 1}, [], None)


def test_run_json_of_a_finished_suite_is_its_summary(events: tuple[Path, Called]) -> None:
    suite, _ = events
    again = call("run", suite, "--out", suite.parent / "out", *ONLY, "--json")
    assert again.code == 0
    assert [event["type"] for event in parsed(again.out)] == ["summary"]


def test_run_json_tells_bad_input_on_the_other_stream(tmp_path: Path) -> None:
    called = call("run", write_suite(tmp_path, methods=["lroa"]), "--out", tmp_path / "out", "--json")
    assert (called.code, called.out) == (2, "")
    assert "did you mean lora" in called.err


def test_plan_forecasts_from_the_records_of_the_folder(events: tuple[Path, Called]) -> None:
    suite, _ = events
    words = ("plan", suite, "--out", suite.parent / "out", *ONLY, "--set", "seeds=[0, 1, 2]", "--device", "cpu")
    planned = json.loads(call(*words, "--workers", "1", "--json").out)
    assert planned["counts"]["todo"] == 2
    forecast = planned["forecast"]
    assert forecast["runs"] == {"measured": 2, "guessed": 0, "unknown": 0}
    assert forecast["device"].startswith("cpu ")
    assert forecast["phases"].keys() == {"start", "fit", "validate", "score"}
    assert forecast["seconds"] == forecast["work_seconds"] > 0
    halved = json.loads(call(*words, "--workers", "2", "--json").out)["forecast"]
    assert halved["seconds"] == pytest.approx(forecast["seconds"] / 2, abs=0.11)
    assert ": 2 runs measured before" in call(*words).out.splitlines()[-1]


def test_plan_of_a_finished_suite_forecasts_nothing_and_loads_no_tensor_library(events: tuple[Path, Called]) -> None:
    suite, _ = events
    words = ["plan", str(suite), "--out", str(suite.parent / "out"), *ONLY]
    code = (
        "import sys\nfrom harness.cli import main\ntry:\n    main()\n"
        "finally:\n    print('LOADED', 'torch' in sys.modules)\n"
    )
    import subprocess

    from harness.registry import ROOT

    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-2:] == ["small: 1 done, 0 todo, 0 stale, 0 not_applicable", "LOADED False"]


@pytest.mark.parametrize(
    ("options", "message"), [(["--device", "cuda:99"], "unknown device 'cuda:99'"), (["--workers", "0"], "at least 1")]
)
def test_plan_refuses_what_run_refuses(tmp_path: Path, options: list[str], message: str) -> None:
    called = call("plan", write_suite(tmp_path), "--out", tmp_path / "out", *options)
    assert called.code == 2
    assert message in called.err


def test_failures_come_first_then_the_table_then_the_command_that_reruns_them(tmp_path: Path) -> None:
    first, second, third = specs("base", "full", "lora")
    lost = {"status": "lost", "error": Failure(kind="WorkerDied", message="code -9")}
    records = [a_record(first), a_record(second, status="failed"), a_record(third, **lost)]
    words = ["paretune", "run", "my suite.yaml", "--only", "method=base,method=full", "--set", "training.lr=1e-2"]
    code, lines = told(SuiteResult(a_plan((), records), tmp_path, 3), words)
    assert code == 1
    assert lines[0] == "failed: 1 run: ValueError: no luck"
    assert lines[1].endswith(f"{tmp_path}/{second.run_id}/001/log.txt")
    assert lines[2] == "  its log ends: the last line"
    assert lines[3] == "lost: 1 run: WorkerDied: code -9"
    assert lines[5].startswith("Test scores x 100")
    assert lines[-1] == (
        "try what is not ok again with: paretune run 'my suite.yaml' --only method=base,method=full "
        "--set training.lr=1e-2 --retry failed"
    )


def test_an_interrupted_matrix_says_how_to_run_the_rest(tmp_path: Path) -> None:
    first, second = specs("base", "full")
    words = ["paretune", "run", "quick", "--mirror", "my data"]
    code, lines = told(SuiteResult(a_plan([second], [a_record(first)]), tmp_path, 2, interrupted=True), words)
    assert code == 130
    assert lines[-1] == "interrupted; the rest is run by: paretune run quick --mirror 'my data'"


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (lambda record: a_plan((), [record]), 0),
        (lambda record: plan_of(*a_plan((), [record]).runs, unreadable=("x: damaged",)), 1),
        (lambda record: plan_of(Planned(record.spec, "not_applicable", "too small")), 2),
    ],
)
def test_json_and_text_end_with_the_same_code(
    tmp_path: Path, plan: Any, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness import running

    record: Record = a_record(specs("base")[0])
    result = SuiteResult(plan(record), tmp_path, 1)
    with pytest.raises(SystemExit) as ended, mock.patch.object(sys, "argv", ["paretune", "run", "s", "--json"]):
        running._finish(result, ["paretune", "run", "s"])
    assert ended.value.code == code
    assert json.loads(capsys.readouterr().out)["exit_code"] == code
    with pytest.raises((SystemExit, Exception)) as text:
        report(Console(file=io.StringIO()), result, ["paretune", "run", "s"])
    assert getattr(text.value, "code", getattr(text.value, "exit_code", None)) == code
