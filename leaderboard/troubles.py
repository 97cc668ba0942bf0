"""Runs without a result, grouped: hundreds that ended for one reason are one line, with what tries them again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.record import Status
from leaderboard.load import Run

ON_REQUEST: tuple[Status, ...] = ("failed", "diverged", "out_of_memory", "timed_out")
"""Statuses that are tried again with ``--retry`` only; ``lost`` and ``cancelled`` come with the next run anyway."""
MOST_NAMES = 6
"""A command with more names than this is longer than what it saves: it then asks for the whole suite."""
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


class Trouble(NamedTuple):
    """Runs that ended in one way for one reason."""

    status: Status
    reason: str
    """Of the first run; others may differ from it in their numbers."""
    num_reasons: int
    runs: tuple[Run, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Which methods."""
        return tuple(sorted({run.record.spec.method for run in self.runs}))

    @property
    def tasks(self) -> tuple[str, ...]:
        """What they trained on."""
        return tuple(sorted({run.record.spec.train for run in self.runs}))

    @property
    def commands(self) -> tuple[str, ...]:
        """What tries them again, one line for each suite; empty for what makes no sense, and where no suite asked."""
        if self.status == "not_applicable":
            return ()
        suites = sorted({suite for run in self.runs for suite in run.suites if suite})
        return tuple(self._command(suite) for suite in suites)

    def _command(self, suite: str) -> str:
        runs = [run for run in self.runs if suite in run.suites]
        retry = ["--retry", self.status] if self.status in ON_REQUEST else []
        only = [
            *_filters("method", {run.record.spec.method for run in runs}),
            *_filters("task", {run.record.spec.train for run in runs}),
        ]
        return shlex.join(["paretune", "run", suite, *retry, *(["--only", ",".join(only)] if only else [])])


def _filters(key: str, names: set[str]) -> list[str]:
    plain = len(names) <= MOST_NAMES and not any("," in name or "=" in name for name in names)
    return [f"{key}={name}" for name in sorted(names)] if plain else []


def reason_of(run: Run) -> str:
    """Return why a run has no result."""
    error = run.record.error
    if error is None:
        return "no reason was recorded"
    return error.message if run.record.status == "not_applicable" else f"{error.kind}: {error.message}"


def troubles(runs: Iterable[Run]) -> tuple[Trouble, ...]:
    """Group runs without a result by status and reason; reasons that differ in their numbers alone count as one.

    What went wrong comes before what makes no sense, and the most frequent first.
    """
    groups: dict[tuple[Status, str], list[Run]] = {}
    for run in runs:
        if run.record.status != "ok":
            groups.setdefault((run.record.status, _NUMBERS.sub("#", reason_of(run))), []).append(run)
    found = []
    for (status, _), group in groups.items():
        ordered = sorted(group, key=_place)
        found.append(Trouble(status, reason_of(ordered[0]), len(set(map(reason_of, group))), tuple(ordered)))
    return tuple(sorted(found, key=_rank))


def _place(run: Run) -> tuple[str, str, int, str]:
    spec = run.record.spec
    return spec.method, spec.train, spec.seed, run.run_id


def _rank(trouble: Trouble) -> tuple[bool, int, str, str]:
    return trouble.status == "not_applicable", -len(trouble.runs), trouble.status, trouble.reason


def without_result(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without a result, those that make no sense last."""
    bad = [run for run in runs if run.record.status != "ok"]
    return sorted(bad, key=lambda run: (run.record.status == "not_applicable", run.record.status, *_place(run)))


def stale_runs(runs: Sequence[Run], stale: Mapping[str, str]) -> list[tuple[str, list[Run]]]:
    """Group the runs that are not today's result by the reason, the most frequent first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.run_id in stale:
            groups.setdefault(stale[run.run_id], []).append(run)
    return sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
