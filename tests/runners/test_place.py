"""Places: what a scheduler and a worker tell each other through a disk. Whole arrays of them: see test_slurm."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from harness.record import RECORD_FILE
from runners.place import Place, PlaceSeat, Pulse, lines, write
from runners.queue import Job
from tests.runners.idle import idle, specs

SILENCE = 4.0


def test_a_place_serves_jobs_until_it_is_let_go(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    write(session / "pulse", 1)
    worker = threading.Thread(target=Place(session, idle(tmp_path), SILENCE))
    worker.start()
    end = time.monotonic() + 60
    while not (found := list(session.glob("place-*/hello.json"))) and time.monotonic() < end:
        time.sleep(0.05)
    seat = PlaceSeat(found[0].parent, SILENCE)
    events: list[Any] = []
    for spec in specs(2):
        assert seat.execute(Job(spec), events.append) is None
    seat.close()
    worker.join(60)
    assert [event["type"] for event in events] == ["started", "ended"] * 2
    assert (found[0].parent / "gone").exists()
    assert len(list(tmp_path.glob(f"*/001/{RECORD_FILE}"))) == 2


def test_a_place_whose_session_is_over_before_its_turn_comes_makes_none(tmp_path: Path) -> None:
    Place(tmp_path, idle(tmp_path), SILENCE)()
    assert not list(tmp_path.iterdir())


def test_a_place_without_a_scheduler_ends_and_is_no_seat(tmp_path: Path) -> None:
    write(tmp_path / "pulse", 1)  # and never again
    began = time.monotonic()
    Place(tmp_path, idle(tmp_path), 1.0)()
    assert time.monotonic() - began < 30
    (place,) = tmp_path.glob("place-*")
    death = PlaceSeat(place, SILENCE).execute(Job(specs(1)[0]), lambda event: None)
    assert death is not None
    assert death.seat_lost


def test_lines_come_whole_and_those_from_before_their_writer_went_too(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"b"', encoding="utf-8")
    left = iter([True, True, False])

    def there() -> bool:
        answer = next(left)
        if not answer:
            with path.open("a", encoding="utf-8") as file:
                file.write(': 2}\n{"half')
        return answer

    assert list(lines(path, there)) == [{"a": 1}, {"b": 2}]


def test_a_pulse_is_heard_until_it_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "pulse"
    pulse = Pulse(path, 0.3)
    assert pulse.is_heard()  # it may be about to begin
    for beat in range(4):
        path.write_text(str(beat), encoding="utf-8")
        time.sleep(0.15)
        assert pulse.is_heard()
    time.sleep(0.4)
    assert not pulse.is_heard()
