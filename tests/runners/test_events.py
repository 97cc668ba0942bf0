from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.api import SuiteResult
from harness.registry import ROOT
from runners import events
from runners.events import JsonEvents, summary, write
from tests.runners.matrices import a_plan, a_record, ended, specs, started, step, watch


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]


def test_each_event_is_a_line_with_the_keys_that_the_docstring_promises() -> None:
    stream, (spec,) = io.StringIO(), specs({"random_mask": {"budget": "1%"}})
    watched = watch(a_plan([spec]), past=[a_record(spec)])
    watched.audience.append(JsonEvents(stream, watched))
    for event in (started(spec), step(8), step(16, loss=float("nan")), ended("failed", "no luck")):
        watched(spec, event)
    for of_all in ({"type": "draining"}, {"type": "warning", "message": "low"}, {"type": "added", "runs": 2}):
        watched(None, of_all)
    plan, began, first, second, end, draining, warning, added = lines(stream)
    types = ["plan", "started", "step", "step", "ended", "draining", "warning", "added"]
    assert [line["type"] for line in lines(stream)] == types
    assert (warning["message"], added["runs"]) == ("low", 2)
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines(stream))
    assert plan.keys() == {"type", "time", "suite", "out", "counts", "runs", "forecast", "missing"}
    (run,) = plan["runs"]
    assert (run["run_id"], run["state"], run["reason"]) == (spec.run_id, "todo", "never run")
    assert (run["trained"], run["backbone"]) == (None, spec.backbone)
    assert run["label"] == f"random_mask 1 % {spec.train} seed 0"
    assert plan["missing"] == []
    assert plan["forecast"]["seconds"] == 20.0
    assert {key: began[key] for key in began.keys() - {"time"}} == {
        "type": "started",
        "run_id": spec.run_id,
        "attempt": 1,
        "backbone": "tiny:bert",
        "method": "random_mask",
        "values": {},
        "budget": "1 %",
        "task": "embedded/polarity",
        "seed": 0,
        "purpose": "final",
    }
    assert first.keys() == {"type", "time", "run_id", "step", "steps", "epoch", "loss"}
    assert (first["loss"], second["loss"]) == (0.6931, None)
    assert end.keys() == {
        "type", "time", "run_id", "status", "message", "folder", "again", "ended", "total", "seconds_left"
    }  # fmt: skip
    assert (end["status"], end["message"], end["ended"], end["total"]) == ("failed", "no luck", 1, 1)
    assert draining.keys() == {"type", "time"}


def test_the_summary_names_failures_their_logs_and_what_runs_them_again() -> None:
    first, second = specs("base", "full")
    result = SuiteResult(a_plan((), [a_record(first), a_record(second, status="failed")]), Path("/runs"), 2)
    stream = io.StringIO()
    write(stream, "summary", summary(result, 1, ["paretune", "run", "x", "--retry", "failed"]))
    (last,) = lines(stream)
    assert last.pop("time")
    assert last == {
        "type": "summary",
        "suite": "faults",
        "out": "/runs",
        "interrupted": False,
        "exit_code": 1,
        "statuses": {"ok": 1, "failed": 1},
        "failures": [
            {
                "status": "failed",
                "kind": "ValueError",
                "message": "no luck",
                "last_line": "the last line",
                "runs": [{"run_id": second.run_id, "log": f"/runs/{second.run_id}/001/log.txt"}],
            }
        ],
        "again": ["paretune", "run", "x", "--retry", "failed"],
    }


def test_every_key_is_explained_in_the_docstring() -> None:
    promised = (events.__doc__ or "").replace("``", "")
    for word in (
        "plan",
        "started",
        "step",
        "ended",
        "draining",
        "summary",
        "run_id",
        "seconds_left",
        "last_line",
        "again",
    ):
        assert word in promised


def test_a_reader_that_goes_away_costs_its_lines_and_not_the_matrix() -> None:
    code = (
        "import sys\nfrom runners.events import write\n"
        "for number in range(20000):\n    write(sys.stdout, 'step', {'step': number})\n"
        "print('went on', file=sys.stderr)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["step"] == 0
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), told) == (0, "went on\n")
