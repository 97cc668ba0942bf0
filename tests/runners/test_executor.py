from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.api import plan_suite
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import Record
from harness.spec import Spec
from runners.attempt import records
from runners.executor import check, executor
from runners.local import LocalExecutor
from runners.queue import EQUAL_ERRORS, Queue
from tests.runners.faulty import states, suite
from tests.runners.idle import idle, specs


def run(out: Path, queue: Queue, **options: Any) -> list[tuple[Spec | None, Any]]:
    told: list[tuple[Spec | None, Any]] = []
    started = executor(idle(out, **options), lambda spec, event: told.append((spec, event)), queue)
    with started:
        started.run()
    return told


def found(out: Path, asked: Sequence[Spec]) -> list[list[Record]]:
    every = [records(out, spec.run_id) for spec in asked]
    assert not any(problems for _, problems in every)
    return [readable for readable, _ in every]


def test_several_lanes_run_every_job_once(tmp_path: Path) -> None:
    asked = specs(40)
    told = run(tmp_path, Queue(asked), workers=2)
    assert [[record.status for record in tried] for tried in found(tmp_path, asked)] == [["ok"]] * 40
    assert Counter(event["type"] for _, event in told) == {"started": 40, "ended": 40}
    assert {tried[0].environment["pid"] for tried in found(tmp_path, asked)} != {os.getpid()}


def test_equal_errors_cancel_the_rest_of_a_method_on_disk_and_a_rerun_tries_it_again(tmp_path: Path) -> None:
    bad, good = specs(9, "lora", ends="raises"), specs(9, "full")
    told = run(tmp_path, Queue([*bad, *good]))
    statuses = Counter(tried[-1].status for tried in found(tmp_path, bad))
    assert statuses == {"failed": EQUAL_ERRORS, "cancelled": 9 - EQUAL_ERRORS}
    cancelled = [tried[-1] for tried in found(tmp_path, bad) if tried[-1].status == "cancelled"]
    for record in cancelled:
        assert record.error is not None
        assert record.error.kind == "breaker"
        assert "5 runs of lora ended with the same error (RuntimeError: run " in record.error.message
    assert {tried[-1].status for tried in found(tmp_path, good)} == {"ok"}
    assert sum(event["type"] == "ended" for _, event in told) == 18
    # The plan of a suite that asks for these very runs starts the cancelled anew, and what failed only when asked to.
    asked = suite([{"lora": {"rank": 1}}], seeds=[0])
    (spec,) = [one.spec for one in plan_suite(asked, out=tmp_path).runs]
    run(tmp_path, _already_broken(spec))
    assert states(plan_suite(asked, out=tmp_path)) == ["todo"]


def _already_broken(last: Spec) -> Queue:
    return Queue([*specs(EQUAL_ERRORS, "lora", first=50, ends="raises"), last.model_copy(update={"seed": 0})])


class Search:
    """Wants a further run after each that ended."""

    def __init__(self) -> None:
        self.told: list[Record] = []

    def after(self, record: Record) -> Sequence[Spec]:
        self.told.append(record)
        return specs(1, first=record.spec.seed + 100) if record.spec.seed < 100 else []

    def bill(self, spec: Spec) -> dict[str, Any] | None:
        return {"trials": spec.seed - 99} if spec.seed >= 100 else None


def test_what_a_search_adds_is_run_by_lanes_that_wait_for_it_and_holds_its_bill(tmp_path: Path) -> None:
    search, first = Search(), [*specs(2), *specs(1, first=2, ends="raises"), *specs(1, first=3, ends="dies")]
    told = run(tmp_path, Queue(first, follow=search), workers=3)
    added = specs(4, first=100)
    assert [[record.search for record in tried] for tried in found(tmp_path, added)] == [
        [{"trials": 1 + number}] for number in range(4)
    ]
    assert sorted((record.spec.seed, record.status) for record in search.told) == [
        (0, "ok"),
        (1, "ok"),
        (2, "failed"),
        (3, "lost"),
        *((100 + number, "ok") for number in range(4)),
    ]
    assert sum(event["runs"] for spec, event in told if spec is None and event["type"] == "added") == 4
    assert found(tmp_path, first)[0][0].search is None


def test_a_worker_that_always_dies_costs_its_own_runs_only(tmp_path: Path) -> None:
    dying, good = specs(2, "lora", ends="dies"), specs(4)
    told = run(tmp_path, Queue([*dying, *good]), workers=2)
    assert [[record.status for record in tried] for tried in found(tmp_path, dying)] == [["lost"] * 2] * 2
    assert [tried[0].status for tried in found(tmp_path, good)] == ["ok"] * 4
    again = [event["again"] for spec, event in told if event["type"] == "ended" and spec in dying]
    assert sorted(again) == [False, False, True, True]


def test_a_drain_finishes_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    asked, queue = specs(6), Queue(specs(6))
    started: list[LocalExecutor] = []

    def observe(spec: Spec | None, event: Any) -> None:
        if event["type"] == "started":
            started[0].drain()

    started.append(LocalExecutor(idle(tmp_path), observe, queue))
    started[0].run()
    assert sorted(len(tried) for tried in found(tmp_path, asked)) == [0] * 5 + [1]


def test_an_executor_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownName, match="unknown executor 'rya'.*did you mean ray"):
        check("rya")


@pytest.mark.parametrize(("name", "library"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_executor_whose_library_is_not_installed_names_the_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as Python sees what cannot be imported
    with pytest.raises(MissingPrerequisite, match=rf"--executor {name} needs .*{library}.*paretune\[{name}\]"):
        check(name)


def test_signals_reach_an_executor_whose_lanes_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, queue = specs(300), Queue(specs(300))
    started = LocalExecutor(idle(tmp_path), lambda spec, event: os.kill(os.getpid(), signal.SIGUSR1), queue)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: started.drain())
    try:
        started.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sum(len(tried) for tried in found(tmp_path, asked)) < 300
