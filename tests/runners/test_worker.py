from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from harness import registry
from harness.api import run_suite
from harness.matrix import expand
from harness.record import EXTRA_FOLDER, ITEMS_FILE, LOG_FILE, RECORD_FILE, STARTED_FILE, TRAINED_FILE, read_record
from harness.splits import Part
from runners.attempt import DISK_FULL, TRAINED_FACTS_FILE, discard_results
from runners.checkpoint import load
from runners.savepoint import SAVEPOINT_FILE
from runners.worker import run_one
from tests.runners.faulty import SECRET, answer, run_here, suite

DIVERGING: dict[str, Any] = {"epochs": 1, "batch_size": 4, "max_length": 32, "optimizer": "sgd", "clip": None}


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give this process its own file sizes back after a method limited them."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield monkeypatch
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_run_leaves_a_record_items_log_and_trained_part(tmp_path: Path, warm: Any) -> None:
    record, folder, healthy = run_here(tmp_path, "head_only", warm=warm)
    assert (record.status, record.error, healthy) == ("ok", None, True)
    results = {ITEMS_FILE, TRAINED_FILE, TRAINED_FACTS_FILE}
    assert {path.name for path in folder.iterdir()} == {STARTED_FILE, LOG_FILE, RECORD_FILE, *results}
    assert read_record(folder / RECORD_FILE) == record
    assert pq.read_table(folder / ITEMS_FILE).num_rows == record.scores[0].num_items == 32
    assert record.counts is not None
    assert sum(tensor.numel() for tensor in load_file(folder / TRAINED_FILE).values()) == record.counts.head
    facts = load(folder).facts
    assert (facts.run_id, facts.method, facts.trained, facts.head) == (record.run_id, "head_only", 0, 66)
    assert (facts.total, facts.weights) == (record.counts.total, record.digests.weights)
    assert record.cost.steps == facts.total_steps == 16
    assert {"load", "data", "attach", "fit", "validate", "score", "restore"} <= set(record.cost.seconds)


def test_what_a_task_leaves_beside_the_record_is_of_the_attempt_that_succeeded(
    tmp_path: Path, faulty: Path, warm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(run_id: str, part: Part, items: Any) -> dict[str, str]:
        return {"said.txt": f"{run_id} {part.title} {items.num_rows} \N{SNOWMAN}"}

    monkeypatch.setattr(registry.load_task("embedded/polarity", "classify"), "files", files)
    record, folder, _ = run_here(tmp_path, "head_only", warm=warm)
    said = (folder / EXTRA_FOLDER / "said.txt").read_text(encoding="utf-8")
    assert said == f"{record.run_id} embedded/polarity (evaluation) 32 \N{SNOWMAN}"
    discard_results(folder)
    assert not (folder / EXTRA_FOLDER).exists()
    _, folder, _ = run_here(tmp_path, "in_finalize", warm=warm)
    assert not (folder / EXTRA_FOLDER).exists()


@pytest.mark.parametrize(
    ("method", "status", "kind", "message", "healthy"),
    [
        ("in_attach", "failed", "RuntimeError", "attach went wrong", False),
        ("in_hook", "failed", "KeyError", "a hook went wrong", False),
        ("in_finalize", "failed", "ZeroDivisionError", "finalize went wrong", False),
        ("leaves", "failed", "SystemExit", "enough", False),
        ("infinite", "failed", "ValueError", "inf", False),
        ("starved", "out_of_memory", "MemoryError", "MemoryError", True),
        ("starved_on_device", "out_of_memory", "OutOfMemoryError", "CUDA out of memory", True),
        ("greedy", "out_of_memory", "RuntimeError", "can't allocate memory", True),
        ("refuses", "not_applicable", "NotApplicable", "smallest is 7", True),
    ],
)
def test_whatever_a_method_raises_becomes_a_record(
    tmp_path: Path, faulty: Path, warm: Any, method: str, status: str, kind: str, message: str, healthy: bool
) -> None:
    record, folder, can_go_on = run_here(tmp_path, method, warm=warm)
    assert (record.status, can_go_on) == (status, healthy)
    assert record.error is not None
    assert record.error.kind == kind
    assert message in record.error.message
    assert not record.scores
    assert {path.name for path in folder.iterdir()} == {STARTED_FILE, LOG_FILE, RECORD_FILE}
    assert read_record(folder / RECORD_FILE) == record
    if method.startswith("in_"):
        assert record.error.log_tail[0].startswith("Traceback") or len(record.error.log_tail) == 20
        assert record.error.kind in record.error.log_tail[-1]
        assert f"~/faulty_{method}.py" in "".join(record.error.log_tail)
    text = (folder / RECORD_FILE).read_text(encoding="utf-8") + (folder / LOG_FILE).read_text(encoding="utf-8")
    assert str(faulty) not in text
    assert str(Path(__file__).parents[2]) not in text


@pytest.mark.parametrize("lr", [1e20, 1e30])
def test_a_loss_that_is_no_number_ends_the_attempt_as_diverged(tmp_path: Path, warm: Any, lr: float) -> None:
    record, _, healthy = run_here(tmp_path, "full", warm=warm, training=DIVERGING | {"lr": lr})
    assert (record.status, healthy, record.scores) == ("diverged", True, ())
    assert record.error is not None
    assert f"lower lr ({lr:g})" in record.error.message


def test_runs_that_ended_badly_do_not_change_the_next_one(tmp_path: Path, faulty: Path, warm: Any) -> None:
    lora = {"lora": {"rank": 2}}
    fresh = run_here(tmp_path / "fresh", lora)[0]
    for number, method in enumerate(("starved_on_device", "in_finalize", "refuses")):
        run_here(tmp_path / f"{number}", method, warm=warm)
        after = run_here(tmp_path / f"after{number}", lora, warm=warm)[0]
        assert answer(after) == answer(fresh), method
    run_here(tmp_path / "diverged", "full", warm=warm, training=DIVERGING | {"lr": 1e30})
    assert answer(run_here(tmp_path / "last", lora, warm=warm)[0]) == answer(fresh)


def test_secrets_that_a_method_prints_or_raises_reach_no_file(tmp_path: Path, faulty: Path, warm: Any) -> None:
    record, folder, _ = run_here(tmp_path, "leaky", warm=warm)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    log = (folder / LOG_FILE).read_text(encoding="utf-8")
    for said in ("python says", "no line end", "C says", "a child says", "could not log in with"):
        assert f"{said} <masked>" in log, said
    assert record.error is not None
    assert record.error.message == "could not log in with <masked> from ~/faulty_leaky.py"


def test_a_record_stays_small_whatever_a_method_says(tmp_path: Path, faulty: Path, warm: Any) -> None:
    record, folder, _ = run_here(tmp_path, "wordy", warm=warm)
    assert record.status == "failed"
    assert (folder / RECORD_FILE).stat().st_size < 50_000
    assert read_record(folder / RECORD_FILE) == record
    assert (folder / LOG_FILE).stat().st_size > 100_000


def test_an_interrupt_is_recorded_and_raised_again(tmp_path: Path, faulty: Path, warm: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path, "interrupted", warm=warm)
    (path,) = tmp_path.rglob(RECORD_FILE)
    record = read_record(path)
    assert record.status == "cancelled"
    assert record.error is not None
    assert record.error.kind == "interrupted"


@pytest.mark.parametrize(
    ("keep", "method", "kept"),
    [
        ("none", "head_only", False),
        ("final", "bitfit", True),
        ("final", "full", False),
        ("all", "full", True),
        ("all", "base", False),
    ],
)
def test_trained_parts_are_kept_as_the_policy_says(
    tmp_path: Path, warm: Any, keep: str, method: str, kept: bool
) -> None:
    record, folder, _ = run_here(tmp_path, method, keep, warm)
    assert record.status == "ok"
    assert (folder / TRAINED_FILE).exists() is (folder / TRAINED_FACTS_FILE).exists() is kept


def test_a_disk_that_is_full_for_the_results_leaves_a_record_that_is_taken_up_again(
    tmp_path: Path, faulty: Path, warm: Any, small_files: pytest.MonkeyPatch
) -> None:
    small_files.setenv("PARETUNE_TEST_LIMIT", "20000")
    record, folder, healthy = run_here(tmp_path, "fills_disk", "all", warm)
    assert (record.status, healthy) == ("lost", False)
    assert record.error is not None
    assert record.error.kind == DISK_FULL
    assert re.search("no room for what this run writes .*File too large.*run the suite again", record.error.message)
    assert {path.name for path in folder.iterdir()} == {STARTED_FILE, LOG_FILE, RECORD_FILE}
    assert read_record(folder / RECORD_FILE) == record


def test_a_disk_that_is_full_for_the_results_leaves_the_savepoint_to_go_on_from(
    tmp_path: Path, faulty: Path, warm: Any, small_files: pytest.MonkeyPatch
) -> None:
    small_files.setenv("PARETUNE_TEST_LIMIT", "20000")
    (spec,) = expand(suite(["fills_disk"])).specs
    record, folder, _ = run_one(spec, tmp_path, warm, None, "all", lambda event: None, checkpoint_minutes=1e-9)
    assert record.status == "lost"
    assert (folder / SAVEPOINT_FILE).is_file()


def test_a_disk_that_is_full_for_the_record_leaves_no_part_of_one(
    tmp_path: Path, faulty: Path, warm: Any, small_files: pytest.MonkeyPatch
) -> None:
    small_files.setenv("PARETUNE_TEST_LIMIT", "400")
    with pytest.raises(OSError, match="too large"):
        run_here(tmp_path, "fills_disk", warm=warm)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {STARTED_FILE, LOG_FILE}


@pytest.mark.parametrize("kind", ["ImportError", "OSError"])
def test_a_library_that_cannot_be_loaded_fails_the_run_with_its_reason_and_is_no_lost_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "evaluate.py").write_text(f"raise {kind}('a part of evaluate is not here')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))  # where this process looks, its workers do
    (record,) = run_suite(suite(["head_only"], seeds=[0]), out=tmp_path / "out", workers=1, device="cpu").records
    assert record.status == "failed"
    assert record.error is not None
    assert "a part of evaluate is not here" in record.error.message
