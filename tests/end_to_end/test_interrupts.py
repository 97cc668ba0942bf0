"""Schedulers that are killed and interrupted: what runs ends, nothing is lost, and a rerun completes the matrix."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from harness.api import SuiteResult, plan_suite, run_suite
from harness.spec import Spec
from runners.attempt import read_started
from runners.sweep import Busy
from tests.end_to_end.watching import PATIENCE, held, tried, unchanged, until
from tests.runners.faulty import GATE, contents, write_suite


@dataclass
class Day:
    """What happened to one folder: a scheduler killed, one interrupted once, one twice, and one left in peace."""

    out: Path
    specs: list[Spec]
    worker_ended: bool = False
    busy: str = ""
    codes: list[int] = field(default_factory=list)
    """Exit codes of the interrupted schedulers."""
    texts: list[str] = field(default_factory=list)
    left: list[Counter[str]] = field(default_factory=list)
    """States of the plan after each scheduler."""
    before: list[dict[str, bytes]] = field(default_factory=list)
    """The files after each scheduler."""
    last: SuiteResult | None = None


class Scheduler:
    """A ``paretune run`` in a terminal of its own."""

    def __init__(self, file: Path, out: Path, number: int, executor: str = "local") -> None:
        self._text = file.with_name(f"printed{number}.txt")
        asked = ["run", str(file), "--out", str(out), "--workers", "1", "--executor", executor]
        with self._text.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.cli", *asked],
                stdout=stream,
                stderr=stream,
                cwd=file.parent,
                start_new_session=True,
            )

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def text(self) -> str:
        return self._text.read_text(encoding="utf-8")

    def interrupt(self) -> None:
        """Press Ctrl-C, which reaches every process of the terminal's foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.fixture(scope="module", params=["local", "ray"])
def day(
    request: pytest.FixtureRequest, plugins: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Day]:
    with ExitStack() as schedulers:
        yield _live(tmp_path_factory.mktemp("day"), request.param, schedulers)


def _live(folder: Path, executor: str, schedulers: ExitStack) -> Day:
    gate = Path(os.environ[GATE])
    file, out = write_suite(folder / "day.yaml", ["head_only", "waiting"], seeds=[0, 1]), folder / "out"
    day = Day(out, [run.spec for run in plan_suite(file, out=out).runs])
    first, second = day.specs[2:]

    def note() -> None:
        day.left.append(Counter(run.state for run in plan_suite(file, out=out).runs))
        day.before.append(contents(out))

    gate.touch()
    killed = schedulers.enter_context(Scheduler(file, out, 1, executor))
    attempt = until(lambda: held(out, first), "the first step")
    worker = psutil.Process(read_started(attempt).owner.pid)
    killed.process.kill()
    killed.process.wait()
    day.worker_ended = not psutil.wait_procs([worker], timeout=30)[1]
    note()

    drained = schedulers.enter_context(Scheduler(file, out, 2, executor))
    until(lambda: held(out, first, number=2), "the first step of the second attempt")
    drained.interrupt()
    until(lambda: "again to stop now" in drained.text(), "the answer to Ctrl-C")
    try:
        run_suite(file, out=out, workers=1)
    except Busy as error:
        day.busy = str(error).replace(f"process {drained.process.pid} ", "process PID ")
    gate.unlink()
    day.codes.append(drained.process.wait(PATIENCE))
    note()

    gate.touch()
    stopped = schedulers.enter_context(Scheduler(file, out, 3, executor))
    until(lambda: held(out, second), "the first step")
    stopped.interrupt()
    until(lambda: "again to stop now" in stopped.text(), "the answer to Ctrl-C")
    stopped.interrupt()
    day.codes.append(stopped.process.wait(PATIENCE))  # the gate is shut all the time
    note()
    gate.unlink()

    day.texts = [scheduler.text() for scheduler in (killed, drained, stopped)]
    day.last = run_suite(file, out=out, workers=1, device="cpu")
    return day


def test_workers_of_a_killed_scheduler_end_by_themselves_and_a_rerun_closes_what_they_ran(day: Day) -> None:
    assert day.worker_ended
    lost, again = tried(day.out, day.specs[2])
    assert (lost.status, again.status) == ("lost", "ok")
    assert lost.error is not None
    assert (lost.error.kind, lost.error.log_tail) == ("OwnerDied", ("reached step 1",))
    assert day.left[0] == {"done": 2, "todo": 2}


def test_the_first_interrupt_finishes_what_runs_and_leaves_the_rest(day: Day) -> None:
    assert day.codes[0] == 130
    assert day.left[1] == {"done": 3, "todo": 1}
    assert "interrupted; the rest is run by: paretune run" in day.texts[1]
    assert tried(day.out, day.specs[2])[1].status == "ok"


def test_the_second_interrupt_stops_what_runs_as_cancelled(day: Day) -> None:
    assert day.codes[1] == 130
    assert day.left[2] == {"done": 3, "todo": 1}
    cancelled, again = tried(day.out, day.specs[3])
    assert (cancelled.status, again.status) == ("cancelled", "ok")
    assert cancelled.error is not None
    assert (cancelled.error.kind, cancelled.error.log_tail) == ("interrupted", ("reached step 1",))


def test_a_second_scheduler_is_refused_and_the_first_named(day: Day) -> None:
    assert day.busy.startswith("process PID on ")
    assert "already runs a suite" in day.busy


def test_a_rerun_completes_the_matrix_and_changes_no_earlier_record(day: Day) -> None:
    assert day.last is not None
    assert day.last.plan.ok()
    assert (day.last.num_started, day.last.plan.counts()["done"]) == (1, 4)
    assert [unchanged(before, day.out) for before in day.before] == [True] * 3
    assert [len(tried(day.out, spec)) for spec in day.specs] == [1, 1, 2, 2]
