from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from runners import seat as seats
from runners.queue import Job
from runners.seat import LocalSeat
from tests.runners.faulty import GATE
from tests.runners.idle import idle, specs


def run(seat: LocalSeat, job: Job) -> tuple[Any, list[Any]]:
    events: list[Any] = []
    return seat.execute(job, events.append), events


def test_a_seat_keeps_its_worker_and_replaces_one_that_died_or_has_other_threads(tmp_path: Path) -> None:
    first, second, third = specs(3)
    (dies,) = specs(1, ends="dies")
    other = third.model_copy(update={"threads": 2})
    seat, pids = LocalSeat(idle(tmp_path)), []
    for spec in (first, second, dies, third, other):
        death, events = run(seat, Job(spec))
        assert seat._worker is not None
        pids.append(seat._worker.pid)
        if spec is dies:
            assert death is not None
            assert (death.how, death.timed_out, death.seat_lost) == ("ended with code -9", False, False)
        else:
            assert death is None
            assert [event["type"] for event in events] == ["started", "ended"]
    seat.close()
    assert pids[0] == pids[1] == pids[2]
    assert len(set(pids)) == 3


def test_a_job_over_its_time_ends_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GATE, str(tmp_path))
    seat = LocalSeat(idle(tmp_path, max_minutes=0.005))
    death, _ = run(seat, Job(specs(1, ends="waits")[0]))
    assert death is not None
    assert death.timed_out
    assert run(seat, Job(specs(1)[0]))[0] is None
    seat.close()


def test_a_worker_that_hangs_before_its_job_begins_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "START_MINUTES", 0.05)
    seat = LocalSeat(idle(tmp_path))
    death, events = run(seat, Job(specs(1, ends="hangs")[0]))
    assert death is not None
    assert (death.how, death.timed_out) == ("was stopped, as its job had not begun after 0.05 minutes,", False)
    assert events == []
    monkeypatch.setattr(seats, "START_MINUTES", 1.0)
    assert run(seat, Job(specs(1)[0]))[0] is None
    seat.close()


def test_a_seat_that_is_killed_ends_what_it_runs_and_takes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GATE, str(tmp_path))
    seat, started = LocalSeat(idle(tmp_path)), threading.Event()
    deaths: list[Any] = []
    job = Job(specs(1, ends="waits")[0])
    lane = threading.Thread(target=lambda: deaths.append(seat.execute(job, lambda event: started.set())))
    lane.start()
    assert started.wait(60)
    seat.kill()
    lane.join(60)
    assert deaths[0].how == "ended with code -9"
    assert run(seat, Job(specs(1)[0]))[0] is not None
    seat.close()
