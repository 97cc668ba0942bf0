"""A place: where one worker of an array serves a scheduler that it shares nothing but a disk with.

Below a session's folder each worker makes a place of its own, and says so. The scheduler hands it jobs there and
follows their events. Both show that they live by a pulse, a number that changes: neither asks what time it is on the
other's machine. A worker that was pre-empted and comes again makes a new place; the old one falls silent, and what ran
in it is run again.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from runners.process import Options
from runners.queue import Job
from runners.seat import Death, LocalSeat, Observe

SOON, LATER = 0.02, 0.5
"""Seconds between looks at the disk: at first, and after a while in which nothing came."""
BEAT = 2.0
"""Seconds between changes of a pulse."""


class Pulse:
    """A file that shows that somebody lives, as seen by somebody else."""

    def __init__(self, path: Path, silence: float) -> None:
        self._path, self._silence = path, silence
        self._last, self._heard = "", time.monotonic()

    def is_heard(self) -> bool:
        """Return whether it changed within the time of silence."""
        with suppress(OSError):
            if (now := self._path.read_text(encoding="utf-8")) != self._last:
                self._last, self._heard = now, time.monotonic()
        return time.monotonic() - self._heard < self._silence


@dataclass
class Place:
    """One worker of the array, as submitit starts it; it serves one scheduler until that goes."""

    session: Path
    options: Options
    silence: float

    def __call__(self) -> None:
        """Serve until the scheduler ends its session, or falls silent."""
        self._seat = LocalSeat(self.options)
        self._folder = self.session / f"place-{uuid.uuid4().hex}"
        try:
            if not (self.session / "pulse").exists():  # the scheduler went before this one's turn came
                return
            self._folder.mkdir()
            threading.Thread(target=self._live, daemon=True).start()
            write(self._folder / "hello.json", {"host": socket.gethostname(), "pid": os.getpid()})
            self._serve()
        finally:
            self._leave()
            self._seat.close()

    def checkpoint(self) -> Any:
        """Give the place up and ask to be started again; called by submitit before pre-emption and at the time limit.

        Returns:
            What submitit starts (Any: its own class).
        """
        from submitit.helpers import DelayedSubmission

        self._leave()
        return DelayedSubmission(Place(self.session, self.options, self.silence))

    def _serve(self) -> None:
        for number in itertools.count():
            job = self._folder / f"job-{number}.json"
            for _ in looks(lambda: not self._is_over()):  # soon at first: most jobs follow one that just ended
                if job.exists():
                    break
            else:
                return
            with (self._folder / f"events-{number}.jsonl").open("a", encoding="utf-8") as events:

                def tell(event: Mapping[str, Any], events: IO[str] = events) -> None:
                    events.write(json.dumps(event) + "\n")
                    events.flush()

                death = self._seat.execute(Job.parse(job.read_text(encoding="utf-8")), tell)
                tell({"type": "over", "death": asdict(death) if death else None})

    def _live(self) -> None:
        """Beat, and end the worker where the scheduler says so or is gone; runs beside ``_serve``."""
        scheduler, beats = Pulse(self.session / "pulse", self.silence), 0
        while not self._is_over() and scheduler.is_heard():
            beats += 1
            write(self._folder / "pulse", beats)
            time.sleep(min(BEAT, self.silence / 5))
        if (self._folder / "kill").exists() or not scheduler.is_heard():
            self._seat.kill()
            write(self._folder / "stop", {})

    def _is_over(self) -> bool:
        return any(path.exists() for path in (self._folder / "stop", self._folder / "kill", self.session / "stop"))

    def _leave(self) -> None:
        self._seat.kill()
        if self._folder.is_dir():
            write(self._folder / "gone", {})


class PlaceSeat:
    """A place as the scheduler sees it."""

    def __init__(self, folder: Path, silence: float) -> None:
        self._folder, self._number = folder, 0
        self._pulse = Pulse(folder / "pulse", silence)

    def execute(self, job: Job, observe: Observe) -> Death | None:
        """Run one job; see ``runners.seat.Seat``."""
        number, self._number = self._number, self._number + 1
        write(self._folder / f"job-{number}.json", json.loads(job.line()))
        for event in lines(self._folder / f"events-{number}.jsonl", self._is_there):
            if event["type"] == "over":
                return Death(**event["death"]) if event["death"] else None
            observe(event)
        return Death("was lost with its place in the array", seat_lost=True)

    def kill(self) -> None:
        """Have the worker killed."""
        write(self._folder / "kill", {})

    def close(self) -> None:
        """Let the place go."""
        write(self._folder / "stop", {})

    def _is_there(self) -> bool:
        gone = any((self._folder / name).exists() for name in ("gone", "kill"))
        return not gone and self._pulse.is_heard()


def lines(path: Path, while_there: Callable[[], bool]) -> Iterator[Any]:  # Any: JSON
    """Yield each whole line that is written to a file, also those from before its writer went."""
    offset, rest, there, wait = 0, b"", True, SOON
    while there:
        there = while_there()  # asked before the look at the file: what was written until then is read
        with suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(offset)
            *whole, rest = (rest + (more := file.read())).split(b"\n")
            offset += len(more)
            for line in whole:
                yield json.loads(line)
        time.sleep(wait)
        wait = min(LATER, wait * 1.2)


def looks(until: Callable[[], bool]) -> Iterator[None]:
    """Yield as long as a condition holds, soon at first and then less often."""
    wait = SOON
    while until():
        yield
        time.sleep(wait)
        wait = min(LATER, wait * 1.2)


def write(path: Path, content: object) -> None:
    """Write a file that appears whole."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # the folder was cleared away by the next scheduler
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.rename(path)
