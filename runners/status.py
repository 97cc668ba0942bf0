"""Status: what a folder of runs holds and what happens there now, for another terminal; it only reads.

The scheduler notes how far its matrix is in ``.progress.json``, every other second while something happens. All else is
told by what every attempt leaves: ``started.json`` before work and ``record.json`` at the end.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from harness.record import RECORD_FILE, STARTED_FILE, UnreadableRecord
from harness.spec import Spec
from runners.attempt import Attempt, Owner, Started, is_alive, is_here, now, read_started
from runners.forecast import duration
from runners.found import contents, listed, result
from runners.summary import describe

if TYPE_CHECKING:  # it loads what ``status`` can do without
    from runners.watched import Watched

PROGRESS_FILE, SCHEDULER_FILE = ".progress.json", ".scheduler.json"
PACE = 2.0
"""Seconds between notes."""


class Note(BaseModel):
    """What ``.progress.json`` holds."""

    model_config = ConfigDict(frozen=True)

    pid: int
    suite: str
    ended: int
    """Runs that ended under this scheduler."""
    total: int
    seconds_left: float | None
    draining: bool
    """Whether an interrupt came: what runs is finished, nothing more starts."""
    steps: dict[str, tuple[int, int]]
    """Run id to step and steps, of what runs."""
    at: str = ""
    """UTC, ISO 8601."""


class Notes:
    """Keeps ``.progress.json`` true while a matrix runs; use it as a context around that.

    It is written by a thread of its own: a slow shared disk must not hold the scheduler up, and a full one is no reason
    to stop a matrix.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._path: Path = watched.out / PROGRESS_FILE
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Notes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        before = None
        while True:
            note = self._note()
            if note != before:
                with suppress(OSError):
                    partial = self._path.with_name(f"{PROGRESS_FILE}.{note.pid}.partial")
                    partial.write_text(note.model_copy(update={"at": now()}).model_dump_json(), encoding="utf-8")
                    partial.replace(self._path)
                before = note
            if self._ended.wait(PACE):
                return

    def _note(self) -> Note:
        watched = self._watched
        left = watched.seconds_left()
        steps = {run_id: one.step for run_id, one in dict(watched.running).items() if one.step}
        return Note(
            pid=os.getpid(),
            suite=watched.plan.suite,
            ended=watched.num_ended,
            total=watched.total,
            seconds_left=None if left is None else round(left, 1),
            draining=watched.draining,
            steps={run_id: (step["step"], step["steps"]) for run_id, step in steps.items()},
        )


class Scheduler(NamedTuple):
    """The process that holds a folder."""

    pid: int
    host: str
    here: bool
    """Whether it runs on this machine; of another's, nobody here can tell whether it still lives."""


@dataclass(frozen=True)
class Doing:
    """An attempt without a record."""

    started: Started
    state: Literal["running", "elsewhere", "gone"]
    """Its owner lives; is on another machine; or is gone, and the next run in this folder closes it as lost."""
    seconds: float
    step: tuple[int, int] | None = None
    """Step and steps, where the scheduler has noted them."""


@dataclass(frozen=True)
class Status:
    """What a folder holds."""

    counts: dict[str, int]
    """Status to the number of runs, by their newest ok attempt, else their newest."""
    doing: tuple[Doing, ...]
    unreadable: tuple[str, ...]
    scheduler: Scheduler | None
    note: Note | None
    """What the scheduler has noted."""
    seconds_left: float | None

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for machines."""
        note = self.note.model_dump(mode="json", include={"suite", "ended", "total", "draining"}) if self.note else None
        return {
            "runs": dict(self.counts.items()),
            "unfinished": len(self.doing),
            "running": [_as_json(one) for one in self.doing],
            "scheduler": self.scheduler and self.scheduler._asdict(),
            "progress": note,
            "seconds_left": self.seconds_left,
            "unreadable": list(self.unreadable),
        }

    def lines(self) -> Iterator[str]:
        """Yield it for a reader."""
        for name, count in sorted(self.counts.items()):
            yield f"{name:<14} {count}"
        yield f"{'unfinished':<14} {len(self.doing)}  (started, no record yet)"
        for one in self.doing:
            yield f"  {one.started.run_id}  {describe(one.started.spec)}  {_under_way(one)}"
        if self.scheduler is None:
            yield "no scheduler holds this folder"
            return
        place = "" if self.scheduler.here else f" on {self.scheduler.host}, not seen from here"
        line = f"process {self.scheduler.pid}{place} holds this folder"
        if self.note:
            line += f": {self.note.ended} of {self.note.total} runs ended"
            line += ", finishing what runs after an interrupt" if self.note.draining else ""
            line += "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        yield line


def look(folder: Path) -> Status:
    """Return what a folder of runs holds, and what happens there.

    Raises:
        MissingPrerequisite: if it is not there.
    """
    found = contents([folder])
    counts: Counter[str] = Counter(result(attempts).record.status for attempts in found.runs.values())
    scheduler = _scheduler(folder)
    note = _noted(folder, scheduler)
    doing = tuple(_doing(started, note) for started in _unfinished(folder))
    left = None
    if note and note.seconds_left is not None:
        left = max(0.0, round(note.seconds_left - _since(note.at), 1))
    return Status(dict(counts), doing, tuple(found.unreadable), scheduler, note, left)


def _unfinished(folder: Path) -> Iterator[Started]:
    begun = sorted(place for place, files in listed(folder) if STARTED_FILE in files and RECORD_FILE not in files)
    for place in map(Path, begun):
        with suppress(UnreadableRecord, ValueError):  # just being written, or no attempt's
            yield read_started(Attempt(place, place.parent.name, int(place.name)))


def _doing(started: Started, note: Note | None) -> Doing:
    step = note.steps.get(started.run_id) if note else None
    state: Literal["running", "elsewhere", "gone"] = "running" if is_alive(started.owner) else "gone"
    if not is_here(started.owner):
        state = "elsewhere"
    return Doing(started, state, _since(started.started), step)


def _scheduler(folder: Path) -> Scheduler | None:
    """Return the scheduler of a folder; the lock itself is left alone, since to try it would be to hold it."""
    try:
        holder = Owner.model_validate_json((folder / SCHEDULER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return Scheduler(holder.pid, holder.host, is_here(holder)) if is_alive(holder) else None


def _noted(folder: Path, scheduler: Scheduler | None) -> Note | None:
    """Return what the scheduler has noted; what a dead one left says nothing."""
    try:
        note = Note.model_validate_json((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return note if scheduler and note.pid == scheduler.pid else None


def _since(moment: str) -> float:
    """Return the seconds since a moment; a clock that was set back meanwhile gives none."""
    spent = (datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds()
    return max(0.0, round(spent, 1))


def _under_way(one: Doing) -> str:
    owner, step = one.started.owner, f", step {one.step[0]}/{one.step[1]}" if one.step else ""
    since = f"since {one.started.started}"
    if one.state == "gone":
        return f"{since}; its process is gone, and the next run in this folder closes it as lost"
    if one.state == "elsewhere":
        return f"{since}{step}, process {owner.pid} on {owner.host}, not seen from here"
    return f"running for {duration(one.seconds)}, {since}{step}, process {owner.pid}"


def _as_json(one: Doing) -> dict[str, JsonValue]:
    started = one.started
    return {
        "run_id": started.run_id,
        "attempt": started.attempt,
        "state": one.state,
        "started": started.started,
        "seconds": one.seconds,
        "step": one.step and one.step[0],
        "steps": one.step and one.step[1],
        "pid": started.owner.pid,
        "host": started.owner.host,
        **_question(started.spec),
    }


def _question(spec: Spec) -> dict[str, JsonValue]:
    return {"backbone": spec.backbone, "method": spec.method, "task": spec.train, "seed": spec.seed}
