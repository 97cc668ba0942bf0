"""Watched: a matrix as its events tell it, for whoever shows it: which runs wait, run and ended, and the time left."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.record import RECORD_FILE, Record, UnreadableRecord, read_record
from harness.spec import Spec
from runners.executor import Observer
from runners.forecast import Forecast, Job, Speeds, forecast, job, wall_seconds
from runners.plan import Plan

TODO, RUNNING = "todo", "running"
LEISURE = 20
"""How many times as long as it took to add up the time left that sum is used again."""
FINE = ("ok", "not_applicable", TODO, RUNNING)
"""States that need nobody's attention; the others say how an attempt went wrong."""


@dataclass
class Running:
    """A run that is under way."""

    spec: Spec
    began: float
    step: Mapping[str, Any] | None = None
    """The newest event of its training (Any: events are JSON)."""

    def seconds(self) -> float:
        """Return how long it runs."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Problem:
    """An attempt that ended otherwise than it should."""

    spec: Spec
    status: str
    message: str
    again: bool
    """Whether it is started again by itself."""


class Watched:
    """Takes the executor's events, from whichever thread they come, and tells them on to ``audience`` one at a time.

    What it holds may be read at any time, from any thread, without waiting for whoever is told something.
    """

    def __init__(self, plan: Plan, out: Path, workers: int | None, device: str, speeds: Speeds) -> None:
        self.plan, self.out, self.device = plan, out, device
        self.workers = workers
        """Null where a cluster decides; what runs at once is then counted."""
        self.specs: dict[str, Spec] = {}
        self.states: dict[str, str] = {}
        """Run id to ``todo``, ``running``, or the status of its record."""
        self.running: dict[str, Running] = {}
        self.ended: Counter[str] = Counter()
        """Runs that ended under this scheduler, by status."""
        self.problems: list[Problem] = []
        self.draining = False
        self.began = time.monotonic()
        self._to_come = 0
        """Runs that were announced and of which nothing else is known yet."""
        self._jobs: dict[str, Job] = {}
        self._times = _Times(speeds)
        self._left: float | None = None
        self._left_until = 0.0
        self.audience: list[Observer] = []
        self._lock = threading.RLock()  # a signal's handler may come between, in the same thread
        for one in plan.runs:
            waits = one.state in ("todo", "stale")
            status = one.record.status if one.record else one.state
            self._add(one.spec, TODO if waits else status)
        self._waiting = [job(one.spec) for one in plan.waiting]
        """Runs that a search has yet to give values to; each that becomes known takes the place of one."""
        self.forecast: Forecast = forecast((*self._jobs.values(), *self._waiting), speeds, device, workers or 1)

    @property
    def num_ended(self) -> int:
        """Return the runs that ended under this scheduler."""
        return sum(self.ended.values())

    @property
    def total(self) -> int:
        """Return the runs that this scheduler has to do, or did."""
        return self.num_ended + len(self._jobs) + len(self._waiting) + self._to_come

    def __call__(self, spec: Spec | None, event: Mapping[str, Any]) -> None:
        """Take one event, and tell it on."""
        with self._lock:
            if spec is not None:
                self._take(spec, event)
            elif event["type"] == "draining":
                self.draining = True
            elif event["type"] == "added":  # most take the place of runs that the plan has waiting
                self._to_come += max(0, event["runs"] - len(self._waiting))
            for told in self.audience:
                told(spec, event)

    def _take(self, spec: Spec, event: Mapping[str, Any]) -> None:
        run_id = spec.run_id
        if run_id not in self._jobs:
            was_known = run_id in self.states
            self._add(spec, TODO)
            if not was_known:
                self._take_off(self._jobs[run_id])
        if event["type"] == "ended":
            self._end(spec, event)
        elif event["type"] == "started":
            self.states[run_id], self.running[run_id] = RUNNING, Running(spec, time.monotonic())
        elif event["type"] == "step" and run_id in self.running:
            self.running[run_id].step = event

    def seconds_left(self) -> float | None:
        """Return the expected time until the matrix has ended, or none where nothing is known of it."""
        asked = time.monotonic()
        if asked < self._left_until:  # a matrix of thousands takes a while to add up, and views ask often
            return self._left
        self._left = self._add_up()
        self._left_until = asked + LEISURE * (time.monotonic() - asked)
        return self._left

    def _add_up(self) -> float | None:
        jobs, under_way = dict(self._jobs), dict(self.running)  # copies, since runs end meanwhile
        waiting = Counter(asked for run_id, asked in jobs.items() if run_id not in under_way)
        waiting.update(list(self._waiting))
        running = [(jobs[run_id], one.seconds()) for run_id, one in under_way.items() if run_id in jobs]
        work, longest = 0.0, 0.0
        for asked, count in waiting.items() if not self.draining else ():
            if (expected := self._times.wall(asked)) is None:
                return None
            work, longest = work + count * expected, max(longest, expected)
        for asked, spent in running:
            if (expected := self._times.wall(asked)) is None:
                return None
            work, longest = work + max(0.0, expected - spent), max(longest, expected - spent)
        return max(work / max(self.workers or 1, len(running)), longest)

    def _add(self, spec: Spec, state: str) -> None:
        run_id = spec.run_id
        self.specs[run_id], self.states[run_id] = spec, state
        if state == TODO:
            self._jobs[run_id] = job(spec)

    def _take_off(self, asked: Job) -> None:
        """Take a run that has become known off those that wait to."""
        alike = [one for one in self._waiting if one[:3] == asked[:3]] or self._waiting
        if alike:
            self._waiting.remove(max(alike, key=lambda one: one.score == asked.score))
        else:
            self._to_come = max(0, self._to_come - 1)

    def _end(self, spec: Spec, event: Mapping[str, Any]) -> None:
        run_id, status = spec.run_id, str(event["status"])
        self.specs[run_id] = spec
        running = self.running.pop(run_id, None)
        again = bool(event.get("again"))
        if status not in FINE:
            self.problems.append(Problem(spec, status, str(event.get("message") or ""), again))
        if again:
            self.states[run_id] = TODO
            return
        asked = self._jobs.pop(run_id)
        self.states[run_id] = status
        self.ended[status] += 1
        self._times.learn(asked, running.seconds() if running else None, _record(event))


def _record(event: Mapping[str, Any]) -> Record | None:
    with suppress(UnreadableRecord, KeyError):
        return read_record(Path(event["folder"]) / RECORD_FILE)
    return None


class _Times:
    """What a run takes: by those that ended in this matrix, else by past ones as fast as this machine is today."""

    def __init__(self, past: Speeds) -> None:
        self._past, self._now = past, Speeds()
        self._spent = self._expected = 0.0
        self._walls: list[float] = []

    def learn(self, asked: Job, wall: float | None, record: Record | None) -> None:
        """Take the time of a run that ended."""
        if wall is not None:
            self._walls.append(wall)
        if record is None or record.status != "ok":
            return
        self._now.add(record)
        if before := self._past.estimate(asked, ("cell",)):
            self._spent, self._expected = self._spent + wall_seconds(record), self._expected + before.total

    def wall(self, asked: Job) -> float | None:
        """Return the expected seconds of a run; of one that resembles nothing, the mean of those that ended."""
        factor = self._spent / self._expected if self._expected else 1.0
        for speeds, scale, basis in (
            (self._now, 1.0, "cell"),
            (self._past, factor, "cell"),
            (self._now, 1.0, "method"),
            (self._past, factor, "method"),
            (self._now, 1.0, "backbone"),
            (self._past, factor, "backbone"),
        ):
            if found := speeds.estimate(asked, (basis,)):  # type: ignore[arg-type]  # literals of the tuple above
                return scale * found.total
        return sum(self._walls) / len(self._walls) if self._walls else None
