"""The figures of one method: its score over its budgets on every task, and over the learning rates that were tried."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leaderboard.cells import Section
from leaderboard.columns import Column
from leaderboard.figures import TRAINED, Curve, curves, point_of, top_of
from leaderboard.load import Run
from leaderboard.marks import Drawing, Point, Series
from leaderboard.wording import Sentence, axis, count, listing, number, plural

RATE = "learning rate (log scale)"
FEW = 3
"""Tasks that the title of a chart names."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A figure that is there to be drawn."""

    section: Section
    title: str
    series: tuple[Series, ...]
    across: str
    up: str
    top: float | None
    sentences: tuple[Sentence, ...]
    numbers: str = "~s"

    def drawing(self) -> Drawing:
        """Return what it shows."""
        sizes = tuple(point.x for one in self.series for point in one.points if point.x)
        title = f"{self.title}: {self.up} against {self.across}. The text below says what it shows."
        return Drawing(title, self.across, self.up, self.series, sizes, self.top, numbers=self.numbers)


def method_plans(
    sections: Iterable[Section], runs: Mapping[tuple[object, ...], Sequence[Run]], method: str
) -> Iterator[Plan]:
    """Yield the figures of a method: by section, first its budgets, then its learning rates.

    Args:
        sections: those of the site.
        runs: what ``runs_by_method`` made of its runs.
        method: whose figures these are.
    """
    seen: set[tuple[object, ...]] = set()
    for section in sections:
        if any(row.method == method for row in section.rows):
            yield from _budgets(section, method)
        # Sections that differ in sizes alone share their searches.
        ground = _ground(section, method)
        if ground not in seen:
            seen.add(ground)
            yield from _rates(section, runs.get(ground, ()))


def _budgets(section: Section, method: str) -> Iterator[Plan]:
    """Yield the score over trained parameters, tasks with one kind of score in one chart."""
    kinds: dict[str, list[Column]] = defaultdict(list)
    for column in section.columns:
        kinds[axis(column.measure)].append(column)
    joined = curves([row for row in section.rows if row.method == method])
    for kind, columns in kinds.items():
        crossed = [(column, curve) for column in columns for curve in joined]
        colours = [place if len(columns) == 1 else columns.index(column) for place, (column, _) in enumerate(crossed)]
        lines = [
            (column, _line(curve, _named(curve, column, columns, joined), column, colour))
            for (column, curve), colour in zip(crossed, colours, strict=True)
        ]
        shown = [(column, line) for column, line in lines if line.points]
        if max((len(line.points) for _, line in shown), default=0) < 2:  # one budget is a number, not a curve
            continue
        tops = {top_of(column.measure) for column in columns}
        top = max(top for top in tops if top is not None) if None not in tops else None
        sentences = tuple(_reached(line, column) for column, line in shown)
        yield Plan(
            section,
            f"{_name(section)}: {_subject(columns, kind)} by budget",
            tuple(line for _, line in shown),
            TRAINED,
            kind,
            top,
            sentences,
        )


def _subject(columns: Sequence[Column], kind: str) -> str:
    """Return what a chart shows: its tasks where they are few, else what their scores have in common."""
    return listing([column.task for column in columns]) if len(columns) <= FEW else kind


def _name(section: Section) -> str:
    return f"{section.ground.suite or 'no suite'}, {section.ground.backbone}"


def _named(curve: Curve, column: Column, columns: Sequence[Column], joined: Sequence[Curve]) -> str:
    """Return what tells a line of a chart from the others: its task, and what its curve was asked."""
    words = curve.words if len(joined) > 1 else ""
    return ", ".join([*([column.task] if len(columns) > 1 or not words else []), *([words] if words else [])])


def _line(curve: Curve, name: str, column: Column, place: int) -> Series:
    """Return a curve's points on one task."""
    points = [point for row in curve.rows if (point := point_of(row, row.cells[column.task], column.measure))]
    ordered = tuple(sorted(points, key=lambda point: (point.x, point.y)))
    return Series(name, place, ordered, curve.reference, curve.variant)


def _reached(line: Series, column: Column) -> Sentence:
    scale = column.measure.scale
    found = [f"{number(point.y / scale, column.measure)} with {count(point.x)}" for point in line.points]
    return Sentence(line.name, f"{listing(found)}.")


class Tried(NamedTuple):
    """One learning rate at one budget: what its runs reached on validation."""

    rate: float
    values: tuple[float, ...]
    num_trials: int


def _rates(section: Section, runs: Sequence[Run]) -> Iterator[Plan]:
    """Yield validation score over learning rate, one line for each budget; trials and finals alike."""
    for task in sorted({run.record.spec.train for run in runs}):
        column = next((one for one in section.columns if one.task == task), None)
        if column is None:
            continue
        lines = sensitivity([run for run in runs if run.record.spec.train == task], column.measure.name)
        if max((len(line) for line in lines.values()), default=0) < 2:
            continue
        scale = column.measure.scale
        series = tuple(
            Series(asked, place, tuple(_point(one, scale, asked) for one in line))
            for place, (asked, line) in enumerate(lines.items())
        )
        up = f"validation {axis(column.measure)}"
        best = {
            asked: (max if column.measure.higher_is_better else min)(line, key=lambda one: float(np.mean(one.values)))
            for asked, line in lines.items()
        }
        words = [
            f"{one.rate:g} for {asked} ({number(float(np.mean(one.values)), column.measure)})"
            for asked, one in best.items()
        ]
        tried = plural(sum(one.num_trials for line in lines.values() for one in line), "search trial")
        sentences = (Sentence("Best on validation", f"{listing(words)}. {tried} among them."),)
        title = f"{_name(section)}: {task} by learning rate"
        yield Plan(section, title, series, RATE, up, top_of(column.measure), sentences, "~e")


def _point(one: Tried, scale: float, asked: str) -> Point:
    mean = float(np.mean(one.values)) * scale
    low, high = (min(one.values) * scale, max(one.values) * scale) if len(one.values) > 1 else (None, None)
    words = (
        ("", asked),
        ("Learning rate", f"{one.rate:g}"),
        ("Validation", f"{mean:.4g}"),
        ("Runs", f"{len(one.values)}, {plural(one.num_trials, 'trial')} among them"),
    )
    return Point(one.rate, mean, low, high, False, one.num_trials == len(one.values), words)


def sensitivity(runs: Sequence[Run], metric: str) -> Mapping[str, tuple[Tried, ...]]:
    """Return what was tried, by learning rate, for each budget or value that was asked for.

    A run counts by its best epoch on validation, the one that was kept.
    """
    found: dict[str, dict[float, list[tuple[float, bool]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        value = _validation(run, metric)
        if value is not None:
            spec = run.record.spec
            found[asked_of(run)][spec.training.lr].append((value, spec.purpose == "trial"))
    return {
        asked: tuple(
            Tried(rate, tuple(sorted(value for value, _ in tries)), sum(trial for _, trial in tries))
            for rate, tries in sorted(rates.items())
        )
        for asked, rates in sorted(found.items())
    }


def asked_of(run: Run) -> str:
    """Return what was asked of a method, in a few words."""
    spec = run.record.spec
    words = [f"{name} {value}" for name, value in sorted(spec.values.items())]
    return ", ".join([*([str(spec.budget)] if spec.budget else []), *words]) or "no budget"


def _validation(run: Run, metric: str) -> float | None:
    record = run.record
    kept = next((epoch for epoch in record.validation if epoch.epoch == record.best_epoch), None)
    value = kept.metrics.get(metric) if kept is not None else None
    return value if value is not None and math.isfinite(value) else None


def runs_by_method(runs: Iterable[Run]) -> Mapping[tuple[object, ...], Sequence[Run]]:
    """Group runs by what a section and a method have in common with its trials, which have no row in its table."""
    found: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in runs:
        spec = run.record.spec
        for suite in run.suites:
            found[suite, spec.backbone, spec.protocol, spec.policy, spec.data_seed, spec.method].append(run)
    return found


def _ground(section: Section, method: str) -> tuple[object, ...]:
    ground = section.ground
    return ground.suite, ground.backbone, ground.protocol, ground.policy, ground.data_seed, method
