from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.api import run_suite
from harness.errors import MissingPrerequisite
from runners.local import start_early
from runners.process import Options, WorkerProcess
from runners.queue import Job
from runners.seat import LocalSeat
from runners.spares import Spares
from tests.runners.faulty import suite
from tests.runners.idle import idle, specs


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_a_lane_gets_its_worker_once_and_what_nobody_took_is_ended(tmp_path: Path) -> None:
    before = children()  # of other tests, whose processes may stay for all of them
    with start_early(idle(tmp_path, workers=3), num_runs=2) as spares:
        first = spares.take(0)
        assert first is not None
        assert (spares.take(0), spares.take(2)) == (None, None)
        (other,) = children() - {first.pid} - before
    assert not psutil.pid_exists(other)
    events: list[Any] = []
    assert first.execute(Job(specs(1)[0]), events.append)
    assert [event["type"] for event in events] == ["started", "ended"]
    first.close()


def test_a_seat_begins_with_its_spare_unless_that_is_dead_or_has_other_threads(tmp_path: Path) -> None:
    one, other = specs(2)
    for threads, killed in ((1, False), (1, True), (2, False)):
        spare = WorkerProcess(idle(tmp_path), threads)
        if killed:
            spare.kill()
            spare.wait()
        seat = LocalSeat(idle(tmp_path), spare=spare)
        assert seat.execute(Job(one), lambda event: None) is None
        assert seat._worker is not None
        assert (seat._worker.pid == spare.pid) == (threads == 1 and not killed)
        seat.close()
        assert not psutil.pid_exists(spare.pid)


def test_no_worker_outlives_a_suite_whether_it_was_used_or_not(
    tmp_path: Path, faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    begin = WorkerProcess.__init__

    def noted(self: WorkerProcess, options: Options, *rest: Any) -> None:
        begin(self, options, *rest)
        started.append(self.pid)

    monkeypatch.setattr(WorkerProcess, "__init__", noted)
    asked = suite(["base", "refuses"], seeds=[0])
    assert run_suite(asked, out=tmp_path / "out", workers=2, device="cpu").interrupted is False
    assert len(started) == 2  # those that were started early, and none beside them
    assert run_suite(asked, out=tmp_path / "out", workers=2, device="cpu").num_started == 0
    assert len(started) == 2  # what is finished needs none
    with pytest.raises(MissingPrerequisite):
        run_suite(suite(["base"], tasks=["glue/rte"]), out=tmp_path / "other", mirror=tmp_path, device="cpu")
    assert not (tmp_path / "other").exists()
    assert len(started) > 2
    assert not [pid for pid in started if psutil.pid_exists(pid)]


def test_no_spares_are_nothing(tmp_path: Path) -> None:
    with Spares() as spares:
        assert spares.take(0) is None
    with start_early(idle(tmp_path), num_runs=0) as spares:
        assert spares.take(0) is None


def test_a_scheduler_that_is_killed_while_it_plans_leaves_no_worker(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from runners.local import start_early\n"
        "from tests.runners.idle import idle\n"
        f"spares = start_early(idle(Path({str(tmp_path)!r}), workers=2), 2)\n"
        "print(*[spares.take(lane).pid for lane in (0, 1)], flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    assert not alive
