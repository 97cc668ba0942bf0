"""Reading records and items: everything usable is used, everything else is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.errors import MissingPrerequisite
from harness.metric import METRICS
from harness.record import Failure, UnreadableRecord
from leaderboard.load import load_records, read_entry, read_items
from tests.leaderboard.making import Made, answers

ACCURACY = METRICS["accuracy"]


def made(**facts: object) -> Made:
    return Made(items={"glue/sst2": answers(20, 4)}, **facts)  # type: ignore[arg-type]


def test_records_are_found_at_any_depth_and_copies_count_once(tmp_path: Path) -> None:
    first, second = made().write(tmp_path / "suite_a"), made(seed=1).write(tmp_path / "deep" / "suite_b")
    shutil.copytree(first.parent, tmp_path / "copy" / first.parent.name)
    loaded = load_records([tmp_path, tmp_path / "copy"])
    assert [run.run_id for run in loaded.runs] == sorted([first.parent.name, second.parent.name])
    assert loaded.num_records == 2
    assert loaded.unreadable == []


def test_result_is_the_newest_ok_attempt_else_the_newest(tmp_path: Path) -> None:
    error = Failure(kind="Killed", message="by a test")
    made(attempt=1).write(tmp_path)
    made(attempt=2).write(tmp_path)
    made(attempt=3, status="failed", error=error).write(tmp_path)
    made(seed=1, attempt=1, status="failed", error=error).write(tmp_path)
    made(seed=1, attempt=2, status="lost", error=error).write(tmp_path)
    by_seed = {run.record.spec.seed: run for run in load_records([tmp_path]).runs}
    assert (by_seed[0].record.attempt, by_seed[0].record.status) == (2, "ok")
    assert (by_seed[1].record.attempt, by_seed[1].record.status) == (2, "lost")
    assert [attempt.record.attempt for attempt in by_seed[0].attempts] == [1, 2, 3]


def test_a_run_belongs_to_every_suite_that_asked(tmp_path: Path) -> None:
    made(suite="a").write(tmp_path / "a")
    made(suite="b").write(tmp_path / "b")
    (run,) = load_records([tmp_path]).runs
    assert run.suites == ("a", "b")


def test_broken_files_are_named_without_the_machine_path_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    made().write(folder)
    truncated = made(seed=1).write(folder) / "record.json"
    truncated.write_text(truncated.read_text()[:300])
    future = made(seed=2).write(folder) / "record.json"
    future.write_text(future.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    edited = made(seed=3).write(folder) / "record.json"
    edited.write_text(edited.read_text().replace('"seed": 3', '"seed": 4'))
    loaded = load_records([folder])
    assert len(loaded.runs) == 1
    assert len(loaded.unreadable) == 3
    text = "\n".join(loaded.unreadable)
    assert str(tmp_path) not in text
    assert f"out/{truncated.relative_to(folder)}: not a record (JSONDecodeError" in text
    assert "schema version 99 is unknown" in text
    assert "it was edited" in text
    assert all(message.endswith("; remove its attempt folder, or restore the file") for message in loaded.unreadable)


def test_an_attempt_without_record_is_counted_as_unfinished(tmp_path: Path) -> None:
    made().write(tmp_path)
    place = tmp_path / ("0" * 16) / "001"
    place.mkdir(parents=True)
    (place / "started.json").write_text("{}")
    assert load_records([tmp_path]).num_unfinished == 1


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="nowhere"):
        load_records([tmp_path / "nowhere"])


def test_items_of_one_task_are_read_with_their_clusters(tmp_path: Path) -> None:
    items = {"glue/sst2": answers(6, 1), "glue/rte": answers(4, 2)}
    Made(score=["glue/sst2", "glue/rte"], items=items).write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    found = read_items(run.result, "glue/rte", ACCURACY)
    assert found.item_ids == tuple(f"glue/rte:{number}" for number in range(4))
    assert found.cluster_ids == found.item_ids
    assert found.rows["correct"].sum() == 2


def test_items_that_are_not_the_record_s_own_are_refused(tmp_path: Path) -> None:
    place = made().write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    table = pq.read_table(place / "items.parquet")
    pq.write_table(table.slice(0, 10), place / "items.parquet")
    with pytest.raises(UnreadableRecord, match="SHA-256.*; remove its attempt folder, or restore the file"):
        read_items(run.result, "glue/sst2", ACCURACY)
    (place / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnreadableRecord, match="not the items of a run"):
        read_items(run.result, "glue/sst2", ACCURACY)
    (place / "items.parquet").unlink()
    with pytest.raises(UnreadableRecord, match="FileNotFoundError"):
        read_items(run.result, "glue/sst2", ACCURACY)


def test_items_that_give_another_score_are_refused(tmp_path: Path) -> None:
    record = made().write(tmp_path) / "record.json"
    record.write_text(record.read_text().replace('"accuracy": 0.8', '"accuracy": 0.9'))
    (run,) = load_records([tmp_path]).runs
    with pytest.raises(UnreadableRecord, match=r"0\.800000 on glue/sst2, the record says 0\.900000"):
        read_items(run.result, "glue/sst2", ACCURACY)


def test_an_entry_needs_equal_items_of_all_seeds(tmp_path: Path) -> None:
    made().write(tmp_path)
    made(seed=1).write(tmp_path)
    runs = load_records([tmp_path]).runs
    assert sorted(read_entry(runs, "glue/sst2", "accuracy").rows) == [0, 1]
    Made(seed=2, items={"glue/sst2": answers(19, 4)}).write(tmp_path)
    with pytest.raises(UnreadableRecord, match="scored different items; run them again on the same data"):
        read_entry(load_records([tmp_path]).runs, "glue/sst2", "accuracy")
    with pytest.raises(UnreadableRecord, match="unknown metric 'bleu'"):
        read_entry(runs, "glue/sst2", "bleu")
