from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from harness.api import forecast_plan, plan_suite, run_suite
from harness.backbone import BackboneFiles, locate
from harness.errors import MissingPrerequisite, UnknownName
from harness.matrix import expand
from harness.record import Record
from harness.suite import BadSuite, Resources
from runners.attempt import records
from runners.local import WORKER_BYTES, LocalExecutor, check_ranks, default_workers, too_many, visible_to, weight_bytes
from runners.process import Options
from runners.queue import Queue
from tests.runners.conftest import SIX, Finished
from tests.runners.faulty import answer, suite
from tests.runners.idle import GROUP, idle
from tests.runners.idle import specs as idle_specs

TRAINING: dict[str, Any] = {"epochs": 1, "batch_size": 4, "max_length": 32, "lr": 0.01}


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
    assert "--set max_minutes=MINUTES --retry timed_out" in record.error.message
    assert (told[-1]["type"], told[-1]["status"], told[-1]["again"]) == ("ended", "timed_out", False)


@pytest.fixture
def small_group() -> Iterator[Path]:
    """Return a group of processes that may use 100 MB together."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root, limit = (old, "memory.limit_in_bytes") if old.is_dir() else (new, "memory.max")
    group = root / f"paretune-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(100 << 20))
    except OSError as error:
        pytest.skip(f"no group of processes with a limit can be made here ({error.strerror})")
    yield group
    group.rmdir()


def test_a_worker_that_the_kernel_kills_for_memory_is_out_of_memory_and_the_next_run_goes_on(
    tmp_path: Path, small_group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GROUP, str(small_group))
    (eats,), (plain,) = idle_specs(1, ends="eats"), idle_specs(1)
    LocalExecutor(idle(tmp_path), lambda spec, event: None, Queue([eats, plain])).run()
    ((record,), _), ((other,), _) = (records(tmp_path, spec.run_id) for spec in (eats, plain))
    assert (record.status, other.status) == ("out_of_memory", "ok")
    assert record.error is not None
    assert record.error.kind == "KilledForMemory"
    assert "memory ran out, while this attempt ran; run fewer at a time (--workers)" in record.error.message


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


def test_more_workers_than_memory_allows_are_warned_of_with_the_arithmetic() -> None:
    assert not list(too_many(4, weights=1 << 30, available=64 << 30))
    (warning,) = too_many(16, weights=2 << 30, available=32 << 30)
    assert warning == (
        "16 workers may take 166.2 GB (0.4 GB each, and 5 times the 2.0 GB of the largest backbone), but 32.0 GB are "
        "free; --workers 3 would fit"
    )
    assert "--workers 1 would fit" in next(iter(too_many(2, weights=100 << 30, available=1 << 30)))


def test_the_warning_is_told_and_the_suite_is_run_all_the_same(tmp_path: Path) -> None:
    many = 1 << 12
    told: list[Any] = []
    result = run_suite(
        suite(["base"], seeds=[0]), out=tmp_path, workers=many, device="cpu", observe=lambda plan: _notes(told)
    )
    assert result.plan.ok()
    assert not told  # one run needs one worker
    specs = expand(suite(["base"], seeds=list(range(20)))).specs
    executor = LocalExecutor(Options(tmp_path, workers=many), _notes(told), Queue(specs))
    assert not executor.doubts(specs)
    (doubt,) = executor.doubts(specs * many)
    assert doubt.startswith(f"{many} workers may take ")


def _notes(told: list[Any]) -> Any:
    return lambda spec, event: told.append(event) if event["type"] == "warning" else None


def test_weights_are_counted_as_they_lie_on_disk(tmp_path: Path) -> None:
    assert weight_bytes(locate("tiny:bert")) == 0
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "tokenizer.json").write_bytes(b"x" * 100)
    assert weight_bytes(BackboneFiles("path:x", tmp_path, "bert", "digest")) == 100


@pytest.mark.parametrize(
    ("index", "visible", "name"), [(0, None, "0"), (3, None, "3"), (1, "4, 7", "7"), (0, "GPU-aa,GPU-bb", "GPU-aa")]
)
def test_each_worker_sees_one_of_the_devices_that_are_visible_here(index: int, visible: str | None, name: str) -> None:
    assert visible_to(index, visible) == name


@pytest.mark.gpu
def test_runs_that_share_a_device_are_equal_and_say_so(tmp_path: Path) -> None:
    asked = suite(["head_only", {"lora": {"rank": 2}}], training={"deterministic": True, **TRAINING})
    alone = run_suite(asked, out=tmp_path / "alone", device="cuda", workers=1)
    packed = run_suite(asked, out=tmp_path / "packed", device="cuda", runs_per_device=2)
    assert by_method(packed.records) == by_method(alone.records)
    assert {record.environment.get("runs_per_device") for record in alone.records} == {None}
    assert {record.environment["runs_per_device"] for record in packed.records} == {2}


def test_a_record_says_that_its_device_was_shared(tmp_path: Path) -> None:
    (spec,) = expand(suite(["base"])).specs
    options = Options(tmp_path, "faults", runs_per_device=3)
    LocalExecutor(options, lambda spec, event: None, Queue([spec])).run()
    ((record,), _) = records(tmp_path, spec.run_id)
    assert record.environment["runs_per_device"] == 3


def test_a_device_that_is_not_here_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown device 'cuda:99' in --device; .*(auto|cuda)"):
        run_suite(suite(["base"]), out=tmp_path / "out", device="cuda:99")
    with pytest.raises(BadSuite, match="runs share a GPU, and the device is cpu; --runs-per-device 4 came"):
        run_suite(suite(["base"]), out=tmp_path / "out", device="cpu", runs_per_device=4)
    with pytest.raises(BadSuite, match="--runs-per-device is at least 1; 0 came"):
        run_suite(suite(["base"]), out=tmp_path / "out", runs_per_device=0)
    assert not (tmp_path / "out").exists()


def test_workers_are_as_many_as_the_cores_serve() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_workers(1) == cores
    assert default_workers(10_000) == 1


def test_an_address_without_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MissingPrerequisite, match=r"--address is of a cluster, and '10\.0\.0\.1:6379' came; add --executor"
    ):
        run_suite(suite(["base"]), out=tmp_path / "out", address="10.0.0.1:6379", device="cpu")
    assert not (tmp_path / "out").exists()


def test_more_ranks_than_devices_are_refused_with_what_to_do() -> None:
    check_ranks("cuda", 4, 4)
    with pytest.raises(BadSuite, match=r"ranks is 4, and each rank .* of its own; cuda has 2, so take fewer ranks"):
        check_ranks("cuda", 2, 4)


@pytest.mark.gpu
def test_more_ranks_than_there_are_devices_start_nothing(tmp_path: Path) -> None:
    asked = suite(["base"], resources={"ranks": torch.cuda.device_count() + 1})
    with pytest.raises(BadSuite, match="each rank trains on a device of its own"):
        run_suite(asked, out=tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_the_memory_of_every_rank_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = expand(suite(["base"])).specs
    room = int(2.5 * WORKER_BYTES)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=room))
    alone, four = (Options(tmp_path, resources=Resources(ranks=ranks)) for ranks in (1, 4))
    assert LocalExecutor(alone, lambda spec, event: None, Queue(specs)).doubts(specs) == []
    (doubt,) = LocalExecutor(four, lambda spec, event: None, Queue(specs)).doubts(specs)
    assert doubt.startswith("4 workers may take")


def test_the_forecast_knows_that_ranks_share_the_cores(tmp_path: Path) -> None:
    several = default_workers(1)
    planned = plan_suite(suite(["base"], resources={"ranks": several}), out=tmp_path)
    assert forecast_plan(planned, tmp_path, device="cpu").workers == 1
