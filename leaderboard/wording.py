"""How numbers read on the page, and the sentences that say in words what a chart shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from leaderboard.cells import Cell, Column, Measure, Row, Section
from leaderboard.compare import standing
from leaderboard.pareto import frontier
from leaderboard.statistics import Interval

NO_BREAK, MINUS = "\u00a0", "\u2212"


def number(value: float, measure: Measure) -> str:
    """Return a score as shown: one decimal of a percentage, three of anything else, a true minus sign."""
    decimals = 1 if measure.unit == "%" else 3
    text = f"{value * measure.scale:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", MINUS)


def bounds(interval: Interval, measure: Measure) -> str:
    """Return an interval in brackets, or an empty text where there is none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"[{number(interval.low, measure)},{NO_BREAK}{number(interval.high, measure)}]"


def count(value: float | None) -> str:
    """Return a count with separators, or a dash where it is unknown."""
    return "—" if value is None else f"{value:,.0f}"


def counts(values: Sequence[int]) -> str:
    """Return one count, or the span of several."""
    if not values:
        return "—"
    return count(values[0]) if len(values) == 1 else f"{count(values[0])} to {count(values[-1])}"


def axis(measure: Measure) -> str:
    """Return the title of a score axis: the metric, its unit, and its direction where that is unusual."""
    unit = f", {measure.unit}" if measure.unit else ""
    return f"{measure.name.replace('_', ' ')}{unit}{'' if measure.higher_is_better else ' (lower is better)'}"


def listing(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plural(number: int, noun: str) -> str:
    """Return a counted noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def names(rows: Sequence[Row]) -> dict[Row, str]:
    """Return a name for each row that no other row of the section has."""
    chosen = {id(row): row.label for row in rows}
    for detail in (_with_targets, _with_settings):
        seen = Counter(chosen.values())
        chosen = {id(row): detail(row, chosen[id(row)], seen) for row in rows}
    return {row: chosen[id(row)] for row in rows}


def _with_targets(row: Row, name: str, seen: Mapping[str, int]) -> str:
    return f"{name} on {row.targets}" if seen[name] > 1 else name


def _with_settings(row: Row, name: str, seen: Mapping[str, int]) -> str:
    details = ", ".join(f"{key} {value}" for key, value in row.settings)
    return f"{name}, {details}" if seen[name] > 1 and details else name


def summary(section: Section, column: Column) -> list[str]:
    """Return what the chart of a task shows, in sentences."""
    named = names(section.rows)
    cells = {named[row]: row.cells[column.task] for row in section.rows}
    sizes = {named[row]: row.size for row in section.rows}
    return [*_coverage(cells), *_comparison(cells, column.measure), *_frontier(cells, sizes, column.measure)]


def _coverage(cells: Mapping[str, Cell]) -> Iterator[str]:
    shown = [name for name, cell in cells.items() if cell.interval]
    yield f"{len(shown)} of {plural(len(cells), 'row')} {'has' if len(shown) == 1 else 'have'} a number."
    single = [name for name in shown if (interval := cells[name].interval) and interval.num_seeds == 1]
    if single:
        yield f"One seed only, so the interval knows items alone and nothing is compared: {listing(single)}."


def _comparison(cells: Mapping[str, Cell], measure: Measure) -> Iterator[str]:
    entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry}
    found = standing(entries, measure.higher_is_better)
    if found is None:
        yield "Nothing is compared: that needs two rows with several seeds each."
        return
    interval = cells[found.best].interval
    assert interval is not None
    word = "Highest" if measure.higher_is_better else "Lowest"
    yield f"{word} mean: {found.best}, {number(interval.estimate, measure)} {bounds(interval, measure)}."

    def gaps(others: Sequence[str]) -> str:
        texts = [(found.differences[name], name) for name in others]
        texts.sort(key=lambda pair: (abs(pair[0].estimate), pair[1]))
        return listing([f"{name} ({_gap(gap, measure)})" for gap, name in texts])

    if found.together:
        yield f"Not told apart from it (paired difference on the same items and seeds): {gaps(found.together)}."
    if found.apart:
        worse = "Lower" if measure.higher_is_better else "Higher"
        yield f"{worse} beyond chance (Holm-corrected at 5 %): {gaps(found.apart)}."


def _gap(gap: Interval, measure: Measure) -> str:
    text = bounds(gap, measure)
    return f"{number(gap.estimate, measure)} {text}" if text else number(gap.estimate, measure)


def _frontier(cells: Mapping[str, Cell], sizes: Mapping[str, float | None], measure: Measure) -> Iterator[str]:
    points: dict[str, tuple[float, float]] = {}
    for name, cell in cells.items():
        size = sizes[name]
        if size is not None and cell.comparable and cell.interval is not None:
            points[name] = (size, cell.interval.estimate)
    if len(points) < 2:
        return
    order = list(points)
    chosen = [order[index] for index in frontier([points[name] for name in order], measure.higher_is_better)]
    parts = listing([f"{name} ({count(points[name][0])})" for name in chosen])
    yield f"Frontier of the means, by trained parameters: {parts}; neighbours may lie within each other's noise."
