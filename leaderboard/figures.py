"""The figures of a section: which rows form a curve, in which colour and shape, and what one chart shows of a task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column, Measure
from leaderboard.marks import Drawing, Point, Series
from leaderboard.statistics import ITEMS_ONLY
from leaderboard.wording import axis, bounds, counts, number, of_seeds

TRAINED = "trained parameters (log scale)"


class Curve(NamedTuple):
    """Rows that one line joins: a method on its targets over its budgets."""

    name: str
    rows: tuple[Row, ...]
    reference: bool
    variant: int = 0
    """Its place among the curves of its method."""

    @property
    def method(self) -> str:
        """Whose rows these are."""
        return self.rows[0].method

    @property
    def words(self) -> str:
        """What its name says beside the method."""
        return self.name.removeprefix(self.method).strip()


def key(section: Section, numbers: Mapping[str, int]) -> list[Series]:
    """Return the series of a section without their points, for the key above its charts.

    Args:
        section: whose rows are drawn.
        numbers: method to its number, the same for all pages of a site.
    """
    return [_series(curve, (), numbers) for curve in curves(section.rows)]


def task_drawing(section: Section, column: Column, numbers: Mapping[str, int]) -> Drawing:
    """Return the chart of one task: every row with a number, by trained parameters."""
    joined = curves(section.rows)
    series = tuple(_series(curve, _points(curve, column), numbers) for curve in joined)
    sizes = tuple(row.size for curve in joined if not curve.reference for row in curve.rows if row.size)
    title = f"{column.task}: {axis(column.measure)} against trained parameters. The text below says what it shows."
    levels = tuple(one for one, curve in zip(series, joined, strict=True) if trains_everything(curve.rows[-1]))
    return Drawing(title, TRAINED, axis(column.measure), series, sizes, top_of(column.measure), levels)


def top_of(measure: Measure) -> float | None:
    """Return the largest possible score as shown, None where there is none or lower is better."""
    return measure.ceiling * measure.scale if measure.ceiling is not None and measure.higher_is_better else None


def trains_everything(row: Row) -> bool:
    """Whether a row trains all scalars of its backbone."""
    if not row.trained:
        return False
    totals = {run.record.counts.total for cell in row.cells.values() for run in cell.good if run.record.counts}
    return set(row.trained) == totals


def _series(curve: Curve, points: tuple[Point, ...], numbers: Mapping[str, int]) -> Series:
    return Series(curve.name, numbers[curve.method], points, curve.reference, curve.variant)


def _points(curve: Curve, column: Column) -> tuple[Point, ...]:
    found = (point_of(row, row.cells[column.task], column.measure) for row in curve.rows)
    return tuple(point for point in found if point is not None)


def point_of(row: Row, cell: Cell, measure: Measure) -> Point | None:
    """Return where a row stands on the chart of a task, None where it has no number or no size."""
    interval = cell.interval
    if interval is None or row.size is None:
        return None
    low, high = (None if value is None else value * measure.scale for value in (interval.low, interval.high))
    hollow = not cell.comparable
    words = (
        ("", row.label),
        *((("Targets", row.targets),) if row.targets != "none" else ()),
        ("Trained parameters", counts(row.trained)),
        (axis(measure), f"{number(interval.estimate, measure)} {bounds(interval, measure)}".rstrip()),
        ("Interval", "95 %, " + interval.basis if interval.low is not None else f"none: {interval.basis}"),
        ("Seeds", f"{of_seeds(cell)}: {', '.join(str(run.record.spec.seed) for run in cell.good)}"),
        *((("Not compared", "hollow mark"),) if hollow else ()),
    )
    one_seed = interval.basis == ITEMS_ONLY
    return Point(row.size, interval.estimate * measure.scale, low, high, one_seed, hollow, words)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Join rows of one method, targets and settings whose sizes differ; rows of equal size stand apart by values.

    Rows without a known size have no place in a chart and are left out.
    """
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.size is not None:
            groups[row.method, row.targets, row.settings, row.size == 0].append(row)
    parts: list[tuple[tuple[Row, ...], tuple[str, ...]]] = []
    for group in groups.values():
        if len({row.size for row in group}) == len(group):
            parts.append((tuple(group), ()))
            continue
        by_values: dict[object, list[Row]] = defaultdict(list)
        for row in group:
            by_values[row.values].append(row)
        telling = _telling([dict(part[0].values) for part in by_values.values()])
        parts += [(tuple(part), telling) for part in by_values.values()]
    methods = Counter(row.method for row in rows)
    targets: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        targets[row.method].add(row.targets)
    found = []
    for part, telling in parts:
        first = part[0]
        words = [first.method, *(f"{name} {value}" for name, value in first.values if name in telling)]
        if len(part) == 1 and methods[first.method] == 1:
            words += [f"{name} {value}" for name, value in first.values if len(value) <= 8][:2]
        if len(targets[first.method]) > 1:
            words.append(first.targets)
        words += [f"{name} {value}" for name, value in first.settings]
        found.append(Curve(" ".join(words), part, first.size == 0))
    return _numbered(sorted(found, key=lambda curve: (curve.reference, curve.name)))


def _telling(different: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the names of a few values in which any two differ, the first ones that do."""
    chosen: tuple[str, ...] = ()
    told = 1
    for name in dict.fromkeys(name for values in different for name in values):
        apart = len({tuple(values.get(one) for one in (*chosen, name)) for values in different})
        if apart > told:
            chosen, told = (*chosen, name), apart
    return chosen


def _numbered(ordered: Sequence[Curve]) -> list[Curve]:
    seen: Counter[str] = Counter()
    numbered = []
    for curve in ordered:
        numbered.append(curve._replace(variant=seen[curve.method]))
        seen[curve.method] += 1
    return numbered
