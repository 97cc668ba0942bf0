"""Runs on an array of workers, which submitit starts on this machine: they are pre-empted, killed, and left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import MissingPrerequisite
from harness.record import Record
from harness.spec import Spec
from harness.suite import Resources
from runners.attempt import read_started, records, unfinished
from runners.executor import check, executor
from runners.process import Options
from runners.queue import Queue
from runners.slurm import FOLDER, SlurmExecutor, parameters
from tests.runners.faulty import GATE
from tests.runners.idle import idle, specs
from tests.runners.test_process import gone

Observe = Callable[[Spec | None, Mapping[str, Any]], None]
SILENCE = 4.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlurmExecutor, "silence", SILENCE)


def run(options: Options, asked: list[Spec], observe: Observe = lambda spec, event: None) -> list[list[Record]]:
    with executor(options, observe, Queue(asked)) as started:
        started.run()
    return [records(options.out, spec.run_id)[0] for spec in asked]


def array(out: Path, workers: int | None = 2) -> Options:
    return idle(out, executor="slurm", address="local", workers=workers)


def task_of(out: Path, spec: Spec) -> psutil.Process:
    """Return the process of the array whose worker runs a spec."""
    (started,) = [started for attempt, started in unfinished(out) if started.spec == spec]
    parent = psutil.Process(started.owner.pid).parent()
    assert parent is not None
    return parent


def test_an_array_runs_every_job_once_and_ends(tmp_path: Path) -> None:
    found = run(array(tmp_path), specs(20))
    assert [[record.status for record in tried] for tried in found] == [["ok"]] * 20
    assert len({tried[0].environment["pid"] for tried in found}) == 2
    places = list((tmp_path / FOLDER).glob("session-*/place-*"))
    assert len(places) == 2
    assert all((place / "gone").exists() for place in places)


@pytest.mark.parametrize("how", [signal.SIGUSR2, signal.SIGKILL])
def test_a_worker_that_is_preempted_or_killed_costs_what_it_ran_which_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    gate, out = tmp_path / "gate", tmp_path / "out"
    gate.touch()
    out.mkdir()
    monkeypatch.setenv(GATE, str(gate))
    (held,), others = specs(1, ends="waits"), specs(6)
    held = held.model_copy(update={"training": held.training.model_copy(update={"epochs": 9})})  # the longest is first

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        if spec == held and event["type"] == "started" and gate.exists():
            task_of(out, held).send_signal(how)
        if event["type"] == "ended" and event["status"] == "lost":
            gate.unlink()

    # One that is pre-empted comes again by itself, so that one is enough.
    first, *rest = run(array(out, 1 if how == signal.SIGUSR2 else 2), [held, *others], observe)
    assert [record.status for record in first] == ["lost", "ok"]
    assert first[0].error is not None
    assert "was lost with its place in the array" in first[0].error.message
    assert [[record.status for record in tried] for tried in rest] == [["ok"]] * 6
    assert not list(unfinished(out))


KILLED = """
import sys
from pathlib import Path
from runners.executor import executor
from runners.queue import Queue
from runners.slurm import SlurmExecutor
from tests.runners.idle import specs
from tests.runners.test_slurm import SILENCE, array

SlurmExecutor.silence = SILENCE
options, queue = array(Path(sys.argv[1]), 1), Queue(specs(1, ends="waits"))
with executor(options, lambda spec, event: print(event["type"], flush=True), queue) as one:
    one.run()
"""


def test_workers_of_a_killed_scheduler_end_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gate").touch()
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    out = tmp_path / "out"
    out.mkdir()
    scheduler = subprocess.Popen([sys.executable, "-c", KILLED, out], stdout=subprocess.PIPE, text=True)
    assert scheduler.stdout is not None
    assert scheduler.stdout.readline() == "started\n"
    ((_, started),) = unfinished(out)
    task = task_of(out, started.spec)
    scheduler.kill()
    scheduler.wait()
    scheduler.stdout.close()
    assert gone(started.owner.pid, 30)
    assert gone(task.pid, 30)


def test_the_second_interrupt_ends_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gate").touch()
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    asked, out = specs(1, ends="waits"), tmp_path / "out"
    out.mkdir()

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        if event["type"] == "started":
            started.stop()

    with executor(array(out, 1), observe, Queue(asked)) as started:
        started.run()
    (record,), _ = records(out, asked[0].run_id)
    assert record.status == "cancelled"
    assert gone(read_started_pid(out, asked[0]), 30)


def read_started_pid(out: Path, spec: Spec) -> int:
    from runners.attempt import attempts

    return read_started(attempts(out, spec.run_id)[0]).owner.pid


def test_slurm_is_asked_for_what_the_suite_states(tmp_path: Path) -> None:
    plain: dict[str, Any] = {
        "name": "paretune-idle",
        "timeout_min": 720,
        "cpus_per_task": 1,
        "slurm_array_parallelism": 3,
    }
    plain |= {"slurm_additional_parameters": {"requeue": True}}
    assert parameters(idle(tmp_path), 3) == plain
    resources = Resources(cpus=2.5, gpus=2, accelerator="a100", memory_gb=20, minutes=60, partition="long")
    asked = {"cpus_per_task": 3, "slurm_gres": "gpu:a100:2", "mem_gb": 20, "timeout_min": 60, "slurm_partition": "long"}
    assert parameters(idle(tmp_path, resources=resources), 3) == plain | asked
    assert parameters(idle(tmp_path, device="cuda"), 3) == plain | {"gpus_per_node": 1}
    four = Resources(ranks=4)
    assert parameters(idle(tmp_path, resources=four), 3) == plain | {"cpus_per_task": 4}
    asked = {"cpus_per_task": 4, "gpus_per_node": 4}
    assert parameters(idle(tmp_path, resources=four, device="cuda"), 3) == plain | asked
    with pytest.raises(MissingPrerequisite, match=r"ranks is 4, and each rank .* 2 devices, shared by 1, came"):
        parameters(idle(tmp_path, resources=Resources(ranks=4, gpus=2)), 3)
    with pytest.raises(MissingPrerequisite, match=r"whole devices.*0\.5 of one.*--executor ray"):
        parameters(idle(tmp_path, resources=Resources(gpus=0.5)), 3)


def test_workers_that_cannot_start_end_the_suite_with_the_place_of_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("import os\nif 'SUBMITIT_LOCAL_GLOBALID' in os.environ: os._exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(MissingPrerequisite, match=r"4 workers of the array have ended.*session-\w+/jobs"):
        run(array(tmp_path / "out", 1), specs(1))


def test_what_slurm_gets_is_an_array_that_may_be_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask programs in Slurm's place, which keep what they get and start nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in {"sbatch": f"cp $1 {tmp_path}/script; echo Submitted batch job 7", "scancel": "true"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in ("srun", "sacct"):
        (programs / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    check("slurm")
    options = idle(tmp_path / "out", executor="slurm", workers=3, resources=Resources(gpus=1, partition="long"))
    with executor(options, lambda spec, event: None, Queue()):
        pass
    script = (tmp_path / "script").read_text(encoding="utf-8")
    for line in (
        "--array=0-2%3",
        "--gpus-per-node=1",
        "--partition=long",
        "--requeue",
        "--signal=USR2@90",
        "--time=720",
    ):
        assert line in script, script


def test_where_there_is_no_slurm_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingPrerequisite, match=r"no sbatch on the path; run on a login node.*--address local"):
        check("slurm")
    with pytest.raises(MissingPrerequisite, match="'here' came"):
        check("slurm", "here")
    check("slurm", "local")
