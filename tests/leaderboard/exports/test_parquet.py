"""All records as parquet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.record import Failure
from leaderboard.downloads import PARQUET
from leaderboard.exports import parquet as module
from leaderboard.exports.parquet import SCHEMA, parquet
from leaderboard.load import load_records
from leaderboard.page import build_board
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import write_small_board


def read(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content))


def test_a_row_per_attempt_task_and_metric_with_types_and_the_whole_record(tmp_path: Path) -> None:
    cards = {"glue/stsb": card("glue/stsb", "pearson")}
    items = {"glue/sst2": answers(10, 2), "glue/stsb": ([1.0, 1.0], [1.0, 2.0])}
    made = Made(score=["glue/sst2", "glue/stsb"], items=items, cards=cards, attempt=2)
    made.write(tmp_path)
    lost = Failure(kind="Lost", message="gone")
    Made(score=["glue/sst2", "glue/stsb"], cards=cards, attempt=1, status="lost", error=lost).write(tmp_path)
    runs = load_records([tmp_path]).runs
    table = read(parquet(runs, {made.run_id: "moved on"}))
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    names = ("attempt", "status", "is_result", "task", "metric", "value", "num_items", "trained", "stale", "reason")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (1, "lost", False, "glue/sst2", None, None, None, None, None, "gone"),
        (1, "lost", False, "glue/stsb", None, None, None, None, None, "gone"),
        (2, "ok", True, "glue/sst2", "accuracy", 0.8, 10, 22000, "moved on", None),
        (2, "ok", True, "glue/stsb", "pearson", None, 2, 22000, "moved on", None),
    ]
    written = [json.loads(attempt.record.to_json()) for run in runs for attempt in run.attempts]
    assert [json.loads(row["record"]) for row in rows] == [written[0], written[0], written[1], written[1]]


def test_what_only_some_records_know_has_columns(tmp_path: Path) -> None:
    known = {"sent_bytes": 5_000, "checkpoint_bytes": 300, "latency_seconds": 0.0125, "plain_latency_seconds": 0.0099}
    Made(items={"glue/sst2": answers(10, 2)}, costs=known).write(tmp_path)
    Made(seed=1, items={"glue/sst2": answers(10, 2)}).write(tmp_path)
    rows = read(parquet(load_records([tmp_path]).runs, {})).to_pylist()
    found = {row["seed"]: {name: row[name] for name in known} for row in rows}
    assert found == {0: known, 1: dict.fromkeys(known)}


def test_bytes_do_not_depend_on_folders_but_on_records(tmp_path: Path) -> None:
    write_small_board(tmp_path / "one")
    for number, place in enumerate(sorted((tmp_path / "one").iterdir())):
        shutil.copytree(place, tmp_path / f"part{number % 2}" / place.name)
    whole = parquet(load_records([tmp_path / "one"]).runs, {})
    parts = [tmp_path / "part1", tmp_path / "part0"]
    assert parquet(load_records(parts).runs, {}) == whole
    assert parquet(load_records(parts[:1]).runs, {}) != whole


def test_many_runs_are_packed_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_board(tmp_path)
    runs = load_records([tmp_path]).runs
    once = read(parquet(runs, {}))
    monkeypatch.setattr(module, "AT_ONCE", 4)
    content = parquet(runs, {})
    assert pq.ParquetFile(pa.BufferReader(content)).num_row_groups == 6
    assert read(content).equals(once)
    assert once.num_rows == 21


def test_a_site_has_it_even_without_records(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    build_board([tmp_path / "records"], tmp_path / "site")
    assert pq.read_table(tmp_path / "site" / PARQUET).num_rows == 0
