"""The downloads of runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from harness.record import Failure
from leaderboard import downloads
from leaderboard.exports.records import FIELDS, records_csv, records_json
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.tabulation import differing
from tests.leaderboard.making import Made, answers, card


def test_csv_has_a_line_per_task_and_metric_and_keeps_commas_and_line_breaks(tmp_path: Path) -> None:
    cards = {"glue/stsb": card("glue/stsb", "pearson")}
    items = {"glue/sst2": answers(10, 2), "glue/stsb": ([1.0, 1.0], [1.0, 2.0])}
    Made(score=["glue/sst2", "glue/stsb"], items=items, cards=cards).write(tmp_path)
    bad = Made(seed=1, status="failed", error=Failure(kind="E", message='a, "b"\nc'))
    bad.write(tmp_path)
    text = records_csv(load_records([tmp_path]).runs, {bad.run_id: "moved on"})
    lines = list(csv.DictReader(text.splitlines(keepends=True)))
    assert tuple(lines[0]) == FIELDS
    values = {(line["task"], line["metric"]): line["value"] for line in lines if line["status"] == "ok"}
    assert values == {("glue/sst2", "accuracy"): "0.8", ("glue/stsb", "pearson"): ""}
    (failed,) = (line for line in lines if line["status"] == "failed")
    assert (failed["reason"], failed["stale"], failed["task"]) == ('a, "b"\nc', "moved on", "glue/sst2")


def test_json_holds_every_attempt_as_written(tmp_path: Path) -> None:
    for attempt in (1, 2):
        Made(attempt=attempt, items={"glue/sst2": answers(10, 2)}).write(tmp_path)
    loaded = load_records([tmp_path])
    content = json.loads(records_json(loaded.runs, {}))
    written = [json.loads(attempt.record.to_json()) for run in loaded.runs for attempt in run.attempts]
    assert content == {"records": written, "stale": {}}


def test_what_a_run_cost_says_where_it_shared_its_device(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(10, 2)}, environment={"device": "cuda"}).write(tmp_path / "records")
    packed = Made(seed=1, items={"glue/sst2": answers(10, 2)}, environment={"device": "cuda", "runs_per_device": 4})
    packed.write(tmp_path / "records")
    runs = load_records([tmp_path / "records"]).runs
    lines = list(csv.DictReader(records_csv(runs, {}).splitlines()))
    assert {(line["seed"], line["runs_per_device"]) for line in lines} == {("0", "1"), ("1", "4")}
    assert differing(run.record for run in runs) == ()  # scores are compared all the same
    build_board([tmp_path / "records"], tmp_path / "site")
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")]
    assert sum("Not comparable: 4 runs shared the device." in page for page in pages) == 1


def test_sizes_that_a_record_states_have_columns_and_others_stay_empty(tmp_path: Path) -> None:
    sizes = {
        "trained_part_bytes": 88_000,
        "sent_bytes": 5_000,
        "checkpoint_bytes": 300,
        "latency_seconds": 0.0125,
        "plain_latency_seconds": 0.0099,
    }
    Made(items={"glue/sst2": answers(10, 2)}, costs=sizes).write(tmp_path)
    Made(seed=1, items={"glue/sst2": answers(10, 2)}).write(tmp_path)
    lines = list(csv.DictReader(records_csv(load_records([tmp_path]).runs, {}).splitlines()))
    found = {line["seed"]: [line[name] for name in ("peak_bytes", *sizes)] for line in lines}
    assert found == {"0": ["", "88000", "5000", "300", "0.0125", "0.0099"], "1": [""] * 6}


def test_many_records_are_not_put_into_one_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        Made(seed=seed, items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records")
    monkeypatch.setattr(downloads, "MOST_IN_JSON", 2)
    build_board([tmp_path / "records"], tmp_path / "site")
    assert not (tmp_path / "site" / "records.json").exists()
    assert len(list((tmp_path / "site" / "downloads" / "runs").iterdir())) == 3
    page = (tmp_path / "site" / downloads.INDEX).read_text(encoding="utf-8")
    assert 'records.json"' not in page
    assert "There is no records.json: this board holds more than 2 attempts" in page
