"""Progress of a matrix: a live view on a terminal, plain lines elsewhere, and the summary at the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.record import Record
from harness.spec import Spec

SHOWN = 12
"""Running and last ended runs that the live view shows."""
STYLES = {"ok": "green", "not_applicable": "dim", "lost": "red", "failed": "red", "diverged": "yellow"}


class Progress:
    """Receives the executor's events; use it as a context around a run."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended: Counter[str] = Counter()
        self._running: dict[str, tuple[Spec, Mapping[str, Any], float]] = {}  # Any: events are JSON
        self._last: list[Text] = []
        self._lock = threading.Lock()  # each worker's events come from a thread of their own
        self._began = time.monotonic()
        self._live = (
            Live(console=console, refresh_per_second=4, get_renderable=self._view) if console.is_terminal else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, spec: Spec | None, event: Mapping[str, Any]) -> None:
        """Take one event."""
        if spec is None:
            self._of_all(event)
        elif event["type"] == "ended":
            with self._lock:
                self._end(spec, event)
        else:
            began = self._running[spec.run_id][2] if spec.run_id in self._running else time.monotonic()
            self._running[spec.run_id] = (spec, event, began)

    def _of_all(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "added":
            self._total += event["runs"]
            return
        draining = "interrupted: the running attempts are finished, nothing more starts; again to stop now"
        told = f"warning: {event['message']}" if event["type"] == "warning" else draining
        self._console.print(told, soft_wrap=True)

    def _end(self, spec: Spec, event: Mapping[str, Any]) -> None:
        began = self._running.pop(spec.run_id, (spec, event, time.monotonic()))[2]
        status = str(event["status"])
        if event.get("again"):
            line = Text("[again] ")
        else:
            self._ended[status] += 1
            line = Text(f"[{sum(self._ended.values())}/{self._total}] ")
        line.append(f"{status:<14}", style=STYLES.get(status, "yellow"))
        message = str(event.get("message") or "").partition("\n")[0]
        line.append(f" {describe(spec)}  {time.monotonic() - began:.1f} s  {message}".rstrip())
        if self._live:
            self._last = [*self._last, line][-SHOWN:]
        else:
            self._console.print(line, soft_wrap=True)

    def _view(self) -> Table:
        view = Table.grid(padding=(0, 1))
        for line in self._last:
            view.add_row(line)
        for spec, event, began in list(self._running.values()):
            at = (
                f"step {event['step']}/{event['steps']}  loss {event['loss']:.3f}"
                if event["type"] == "step"
                else "loading"
            )
            view.add_row(Text(f"running        {describe(spec)}  {at}  {time.monotonic() - began:.0f} s", style="cyan"))
        view.add_row(Text(self._tally(), style="bold"))
        return view

    def _tally(self) -> str:
        done = sum(self._ended.values())
        spent = time.monotonic() - self._began
        left = f", about {spent / done * (self._total - done) / 60:.0f} min left" if 0 < done < self._total else ""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self._ended.items()))
        return f"{done} of {self._total} runs ended ({counts or 'none yet'}), {spent / 60:.1f} min{left}"


def describe(spec: Spec) -> str:
    """Return a run in a few words."""
    return f"{_method(spec)} {spec.train} seed {spec.seed}"


class Line(NamedTuple):
    """One line of the summary: a method on a backbone and a task."""

    backbone: str
    method: str
    task: str
    trained: int | None
    numbers: tuple[float | None, ...]
    statuses: Counter[str]


def tally(records: Iterable[Record]) -> list[Line]:
    """Group records by backbone, method (with values and budget) and scored task."""
    lines: dict[tuple[str, str, str], Line] = {}
    for record in records:
        numbers = {score.task: score.metrics[score.headline] for score in record.scores}
        for task in record.spec.score:
            key = (record.spec.backbone, _method(record.spec), task)
            trained = record.counts.trained if record.counts else None
            line = lines.get(key, Line(*key, trained, (), Counter()))
            statuses = line.statuses + Counter([record.status])
            known = line.trained if trained is None else trained
            lines[key] = Line(*key, known, (*line.numbers, numbers.get(task)), statuses)
    return list(lines.values())


def summary(lines: Sequence[Line]) -> Table:
    """Return the table at the end: the mean of the headline metric over seeds times 100, and what is not ok."""
    table = Table(title="Test scores x 100, mean over seeds (the page has intervals)", title_justify="left")
    several = len({line.backbone for line in lines}) > 1
    for name in (*(["backbone"] if several else []), "method", "task", "trained", "mean", "seeds", "not ok"):
        table.add_column(name, justify="right" if name in ("trained", "mean", "seeds") else "left")
    for line in lines:
        known = [number for number in line.numbers if number is not None]
        mean = f"{100 * sum(known) / len(known):.1f}" if known else "-"
        wrong = ", ".join(f"{count} {status}" for status, count in sorted(line.statuses.items()) if status != "ok")
        trained = "-" if line.trained is None else f"{line.trained:,}"
        named = [escape(name) for name in (*([line.backbone] if several else []), line.method, line.task)]
        table.add_row(*named, trained, mean, str(len(known)), wrong)
    return table


def _method(spec: Spec) -> str:
    values = " ".join(f"{key}={value}" for key, value in spec.values.items())
    return " ".join(part for part in (spec.method, values, str(spec.budget) if spec.budget else "") if part)
