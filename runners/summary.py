"""Summary: what a matrix came to, its failures first, and how a run is called in a few words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.markup import escape
from rich.table import Table

from harness.record import LOG_FILE, Record
from harness.spec import Spec

if TYPE_CHECKING:  # it loads what a command that only names runs can do without
    from runners.plan import Plan

NAMED = 5
"""Runs of one failure that are named with the path of their log."""


def describe(spec: Spec) -> str:
    """Return a run in a few words."""
    trial = " trial" if spec.purpose == "trial" else ""
    return f"{method_label(spec)} {spec.train} seed {spec.seed}{trial}"


def method_label(spec: Spec) -> str:
    """Return method, values and budget."""
    values = [f"{key}={value}" for key, value in spec.values.items()]
    return " ".join([spec.method, *values, *([str(spec.budget)] if spec.budget else [])])


def budget_label(spec: Spec) -> str:
    """Return method and budget."""
    return f"{spec.method} {spec.budget}" if spec.budget else spec.method


class Failed(NamedTuple):
    """A run that is not ok, and where its log lies."""

    record: Record
    log: Path


class Failure(NamedTuple):
    """One way to fail, and the runs that failed in it."""

    status: str
    kind: str
    message: str
    """Of the first of them; the others' differ in numbers at most."""
    last_line: str
    """The end of the first one's log."""
    runs: tuple[Failed, ...]


def failures(plan: Plan, out: Path) -> list[Failure]:
    """Return what went wrong, equal errors together, the most frequent first."""
    groups: dict[tuple[str, str, str], list[Failed]] = {}
    for run in plan.runs:
        # What an interrupted run left stale is no result of today's code.
        record = run.record if run.state != "stale" else None
        if record is None or record.status in ("ok", "not_applicable"):
            continue
        message = record.error.message.partition("\n")[0] if record.error else ""
        key = (record.status, record.error.kind if record.error else "", re.sub(r"[\d.]+", "#", message))
        log = out / record.run_id / f"{record.attempt:03}" / LOG_FILE
        groups.setdefault(key, []).append(Failed(record, log))
    found = [_failure(runs) for runs in groups.values()]
    return sorted(found, key=lambda failure: -len(failure.runs))


def _failure(runs: Sequence[Failed]) -> Failure:
    record = runs[0].record
    error = record.error
    message = error.message.partition("\n")[0] if error else ""
    last = next((line for line in reversed(error.log_tail if error else ()) if line.strip()), "")
    return Failure(record.status, error.kind if error else "", message, last.strip(), tuple(runs))


def failure_lines(found: Sequence[Failure]) -> Iterator[str]:
    """Yield failures for a reader: what, how often, in which runs, where the log is and how it ends."""
    for failure in found:
        count = len(failure.runs)
        yield f"{failure.status}: {count} run{'' if count == 1 else 's'}: {failure.kind}: {failure.message}"
        for run in failure.runs[:NAMED]:
            yield f"  {run.record.run_id}  {describe(run.record.spec)}  {run.log}"
        if count > NAMED:
            yield f"  and {count - NAMED} more: {' '.join(run.record.run_id for run in failure.runs[NAMED:])}"
        if failure.last_line and failure.message not in failure.last_line:
            yield f"  its log ends: {failure.last_line}"


def rerun(words: Sequence[str], found: Sequence[Failure]) -> list[str]:
    """Return the words that run the failed again: those that were given, and ``--retry`` where a status needs it."""
    from runners.plan import ON_REQUEST

    given = {word.partition("=")[2] for word in words if word.startswith("--retry=")}
    given |= {after for word, after in zip(words, words[1:], strict=False) if word == "--retry"}
    needed = sorted({failure.status for failure in found} & set(ON_REQUEST) - given)
    return [*words, *(part for status in needed for part in ("--retry", status))]


class Line(NamedTuple):
    """One line of the table: a method on a backbone and a task."""

    backbone: str
    method: str
    task: str
    trained: int | None
    numbers: tuple[float | None, ...]
    statuses: Counter[str]


def tally(records: Iterable[Record]) -> list[Line]:
    """Group records of finals by backbone, method (with values and budget) and scored task."""
    lines: dict[tuple[str, str, str], Line] = {}
    for record in records:
        if record.spec.purpose == "trial":  # never scored: it stands behind the values of a final
            continue
        numbers = {score.task: score.metrics[score.headline] for score in record.scores}
        for task in record.spec.score:
            key = (record.spec.backbone, method_label(record.spec), task)
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
