"""Progress of a matrix for the person who started it: a live grid on a terminal, a line per ended run elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.spec import Spec
from runners.forecast import duration
from runners.grid import SIGNS, UNKNOWN, Grid
from runners.summary import describe
from runners.watched import Problem, Running, Watched

REFRESH = 4
"""Pictures per second."""
TOLD = {
    "draining": "interrupted: the running attempts are finished, nothing more starts; again to stop now",
    "warning": "warning: {message}",
}
"""What is said of events of the whole matrix."""
LATEST_PROBLEMS = 3


class Progress:
    """Shows what the executor's events made of a matrix; use it as a context around a run."""

    def __init__(self, console: Console, watched: Watched) -> None:
        self._console = console
        self._watched = watched
        self._grid = Grid(watched.specs, wide=console.encoding.startswith("utf"))
        self._began: dict[str, float] = {}
        # What a run in this process prints belongs into its log, and not above the picture.
        prints = console.file in (sys.stdout, sys.stderr)
        self._live = (
            Live(
                console=console,
                refresh_per_second=REFRESH,
                get_renderable=self._view,
                redirect_stdout=prints,
                redirect_stderr=prints,
            )
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, spec: Spec | None, event: Mapping[str, Any]) -> None:  # Any: events are JSON
        """Take one event, which ``Watched`` has taken already."""
        if spec is None:
            if told := TOLD.get(event["type"]):
                self._console.print(told.format(**event), soft_wrap=True, markup=False)
        elif event["type"] == "started":
            self._began[spec.run_id] = time.monotonic()
        elif event["type"] == "ended" and not self._live:
            self._console.print(self._line(spec, event), soft_wrap=True)

    def _line(self, spec: Spec, event: Mapping[str, Any]) -> Text:
        """Return the line of a run that ended."""
        status, now = str(event["status"]), time.monotonic()
        number = "again" if event.get("again") else f"{self._watched.num_ended}/{self._watched.total}"
        line = Text(f"[{number}] ")
        line.append(f"{status:<14}", style=SIGNS.get(status, UNKNOWN).style)
        message = str(event.get("message") or "").partition("\n")[0]
        line.append(f" {describe(spec)}  {now - self._began.pop(spec.run_id, now):.1f} s  {message}".rstrip())
        return line

    def _view(self) -> Group:
        """Return the picture: the grid, what went wrong, what runs, and the tally, in the room that there is."""
        width, height = self._console.width, self._console.height - 1  # the cursor stands on a line of its own
        watched = self._watched
        self._grid.place(dict(watched.specs))  # finals of a search are known late
        states = dict(watched.states)
        end = [_fit(self._grid.legend(states), width), _fit(Text(self._tally(), style="bold"), width)]
        room = max(0, height - len(end))
        running = _most([_running(one) for one in list(watched.running.values())], max(1, room // 3), "running")
        problems = [_problem(one) for one in watched.problems[-LATEST_PROBLEMS:]] if room > 12 else []
        told = [_fit(line, width) for line in (*problems, *running)][:room]
        grid = self._grid.lines(states, width, room - len(told))
        return Group(*grid, *told, *end)

    def _tally(self) -> str:
        watched = self._watched
        spent = duration(time.monotonic() - watched.began)
        left = watched.seconds_left() if watched.num_ended < watched.total else None
        after = "" if left is None else f", about {duration(left)} left"
        if watched.draining:
            after += ", finishing what runs"
        return f"{watched.num_ended} of {watched.total} runs ended, {spent}{after}"


def _running(one: Running) -> Text:
    at = "loading"
    if one.step:
        loss = one.step["loss"]
        at = f"step {one.step['step']}/{one.step['steps']}" + ("" if loss is None else f"  loss {loss:.3f}")
        at += "  scoring" if one.step["step"] == one.step["steps"] else ""
    return Text(f"{describe(one.spec)}  {at}  {duration(one.seconds())}", style="cyan")


def _problem(one: Problem) -> Text:
    again = ", started again" if one.again else ""
    message = one.message.partition("\n")[0]
    return Text(f"{one.status}{again}: {describe(one.spec)}: {message}", style=SIGNS.get(one.status, UNKNOWN).style)


def _most(lines: list[Text], room: int, what: str) -> list[Text]:
    """Return the lines, or as many as fit and the number of the others."""
    if len(lines) <= room:
        return lines
    shown = lines[: room - 1]
    return [*shown, Text(f"and {len(lines) - len(shown)} more {what}", style="cyan")]


def _fit(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line
