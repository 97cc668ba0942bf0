"""The figures of a section: which rows form a curve, in which colour and shape, and one chart per task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from leaderboard.cells import Row, Section
from leaderboard.chart import draw
from leaderboard.columns import Column
from leaderboard.marks import Point, Series
from leaderboard.statistics import ITEMS_ONLY
from leaderboard.wording import Sentence, axis, summary


class Figure(NamedTuple):
    """One chart and its words."""

    column: Column
    svg: Markup
    sentences: tuple[Sentence, ...]


class Curve(NamedTuple):
    """Rows that one line joins: a method on its targets over its budgets."""

    name: str
    rows: tuple[Row, ...]
    reference: bool


def key(section: Section) -> list[Series]:
    """Return the series of a section without their points, for the key above its charts."""
    return [Series(curve.name, number, (), curve.reference) for number, curve in enumerate(curves(section.rows))]


def figures(section: Section) -> list[Figure]:
    """Return a chart for each task of a section that has a number to show."""
    found = []
    joined = curves(section.rows)
    sizes = [row.size for curve in joined if not curve.reference for row in curve.rows if row.size]
    for column in section.columns:
        every = [
            Series(curve.name, number, _points(curve, column), curve.reference) for number, curve in enumerate(joined)
        ]
        top = None if column.measure.ceiling is None else column.measure.ceiling * column.measure.scale
        title = f"{column.task}: {axis(column.measure)} against trained parameters. The text below says what it shows."
        svg = draw(every, sizes, axis(column.measure), title, top if column.measure.higher_is_better else None)
        found.append(Figure(column, Markup(svg), tuple(summary(section, column))))  # our own drawing, names escaped
    return found


def _points(curve: Curve, column: Column) -> tuple[Point, ...]:
    points = []
    scale = column.measure.scale
    for row in curve.rows:
        cell = row.cells[column.task]
        interval = cell.interval
        if interval is None or row.size is None:
            continue
        low, high = (None if value is None else value * scale for value in (interval.low, interval.high))
        one_seed = interval.basis == ITEMS_ONLY
        points.append(Point(row.size, interval.estimate * scale, low, high, one_seed, hollow=not cell.comparable))
    return tuple(points)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Join rows of one method, targets and settings whose sizes differ; rows of equal size stand apart by values.

    Rows without a known size have no place in a chart and are left out.
    """
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.size is not None:
            groups[row.method, row.targets, row.settings, row.size == 0].append(row)
    parts: list[tuple[tuple[Row, ...], bool]] = []
    for group in groups.values():
        if len({row.size for row in group}) == len(group):
            parts.append((tuple(group), False))
            continue
        by_values: dict[object, list[Row]] = defaultdict(list)
        for row in group:
            by_values[row.values].append(row)
        parts += [(tuple(part), True) for part in by_values.values()]
    methods = Counter(row.method for row in rows)
    targets: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        targets[row.method].add(row.targets)
    found = []
    for part, by_value in parts:
        first = part[0]
        words = [first.method]
        if by_value or (len(part) == 1 and methods[first.method] == 1):
            words += [f"{name} {value}" for name, value in first.values if len(value) <= 8][:2]
        if len(targets[first.method]) > 1:
            words.append(first.targets)
        words += [f"{name} {value}" for name, value in first.settings]
        found.append(Curve(" ".join(words), part, first.size == 0))
    return sorted(found, key=lambda curve: (curve.reference, curve.name))
