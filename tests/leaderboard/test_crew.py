"""The crew: every part is done once, whoever does it, and what goes wrong elsewhere is not lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderboard import crew
from leaderboard.crew import Crew

NUM_PARTS = 200
PARENT = os.getpid()


@pytest.fixture(params=[1, 2, 4])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let it believe in so many cores."""
    monkeypatch.setattr(crew, "num_cores", lambda: request.param)
    return int(request.param)


def by_whom(number: int) -> tuple[int, int]:
    time.sleep(0.001)  # else one process may be done before another has begun
    return number, os.getpid()


def test_results_stand_in_the_order_of_their_parts_on_any_number_of_cores(cores: int) -> None:
    with Crew(by_whom, range(NUM_PARTS), enough=1) as team:
        found = team.results()
    assert [number for number, _ in found] == list(range(NUM_PARTS))
    assert 1 <= len({process for _, process in found}) <= cores  # on a busy machine some may come too late


def test_few_parts_stay_in_this_process(cores: int) -> None:
    with Crew(by_whom, range(10), enough=11) as team:
        assert team.results() == [(number, os.getpid()) for number in range(10)], cores


def test_others_work_while_this_process_does_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "num_cores", lambda: 2)

    def leave_a_file(number: int) -> int:
        (tmp_path / str(number)).touch()
        return os.getpid()

    with Crew(leave_a_file, range(5), enough=1) as team:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        (other,) = set(team.results())
    assert other != os.getpid()


def test_a_large_result_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "num_cores", lambda: 3)
    with Crew(lambda number: bytes([number]) * 1_000_000, range(20), enough=1) as team:
        assert team.results() == [bytes([number]) * 1_000_000 for number in range(20)]


def fail_elsewhere(number: int) -> int:
    if os.getpid() != PARENT:
        raise ValueError(f"part {number} cannot be done")
    time.sleep(0.05)
    return number


def die_elsewhere(number: int) -> int:
    if os.getpid() != PARENT:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


@pytest.mark.parametrize(("work", "code"), [(fail_elsewhere, 1), (die_elsewhere, -signal.SIGKILL)])
def test_a_process_that_fails_or_is_killed_is_an_error(
    work: Callable[[int], int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "num_cores", lambda: 2)
    with pytest.raises(RuntimeError, match=f"ended with code {code};"), Crew(work, range(20), enough=1) as team:
        team.results()


def test_an_error_here_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "num_cores", lambda: 2)
    begun = time.monotonic()
    with pytest.raises(KeyError), Crew(time.sleep, [60.0], enough=1):
        raise KeyError
    assert time.monotonic() - begun < 30


def test_there_is_at_least_one_core_and_never_too_many() -> None:
    assert 1 <= crew.num_cores() <= crew.MOST
