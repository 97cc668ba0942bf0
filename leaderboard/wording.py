"""How numbers read on the page, and the sentences that say in words what a chart shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from leaderboard.cells import Cell, Row, Section, obstacle
from leaderboard.columns import Column, Measure
from leaderboard.compare import standing
from leaderboard.metricnames import metric_name
from leaderboard.pareto import frontier
from leaderboard.statistics import Interval

MOST_NAMED = 24
"""Entries that a sentence names."""
NO_BREAK, MINUS = "\u00a0", "\u2212"
DIFFERENCES = (
    "paired. A verdict is corrected for every entry here, at whatever budget, and for the choice of the best"
    f" (5{NO_BREAK}%); an interval is of one pair alone. Letters, ranks and gaps in a table are of one budget only: a"
    " smaller family, which asks for less and learns from fewer entries how much seeds vary."
)
UNCOMPARED = (
    "fewer than two entries can be: with a result of every seed, of two seeds at least, and no mark that forbids it."
)
"""Why nothing is compared, after words that say so."""


def number(value: float, measure: Measure) -> str:
    """Return a score as shown: one decimal of a percentage, three of anything else, a true minus sign."""
    text = f"{value * measure.scale:.{decimals(measure)}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", MINUS)


def decimals(measure: Measure) -> int:
    """Return how many decimals of a score are shown."""
    return 1 if measure.unit == "%" else 3


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


def share(value: float) -> str:
    """Return a share as a percentage with two significant digits, or as many as a whole number needs."""
    percent = 100 * value
    if percent >= 10 or percent == 0:
        return f"{percent:.0f}{NO_BREAK}%"
    return f"{float(f'{percent:.2g}'):.10f}".rstrip("0").rstrip(".") + f"{NO_BREAK}%"


def axis(measure: Measure) -> str:
    """Return the title of a score axis: the metric, its unit, and its direction where that is unusual."""
    unit = f", {measure.unit}" if measure.unit else ""
    return f"{metric_name(measure.name)}{unit}{'' if measure.higher_is_better else ' (lower is better)'}"


def listing(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def some(words: Sequence[str]) -> str:
    """Join words as a sentence does; of very many the first are named, and the others counted."""
    if len(words) <= MOST_NAMED:
        return listing(words)
    return f"{', '.join(words[: MOST_NAMED - 1])} and {len(words) - MOST_NAMED + 1:,} others"


def plural(number: int, noun: str) -> str:
    """Return a counted noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def names(rows: Sequence[Row]) -> dict[Row, str]:
    """Return a name for each row that no other row of the section has."""
    chosen = {row: row.label.replace(" %", f"{NO_BREAK}%") for row in rows}
    for detail in (_with_targets, _with_settings):
        seen = Counter(chosen.values())
        chosen = {row: detail(row, name, seen) for row, name in chosen.items()}
    return chosen


def _with_targets(row: Row, name: str, seen: Mapping[str, int]) -> str:
    return f"{name} on {row.targets}" if seen[name] > 1 else name


def _with_settings(row: Row, name: str, seen: Mapping[str, int]) -> str:
    details = ", ".join(f"{key} {value}" for key, value in row.settings)
    return f"{name}, {details}" if seen[name] > 1 and details else name


def of_seeds(cell: Cell) -> str:
    """Return how many seeds a cell has, and of how many where some have no result."""
    return plural(len(cell.seeds), "seed") if cell.whole else f"{len(cell.good)} of {plural(len(cell.seeds), 'seed')}"


class Sentence(NamedTuple):
    """One statement about a chart: what it is about, and what it says."""

    about: str
    text: str


def summary(section: Section, column: Column) -> list[Sentence]:
    """Return what the chart of a task shows, in words."""
    named = names(section.rows)
    cells = {named[row]: row.cells[column.task] for row in section.rows}
    sizes = {named[row]: row.size for row in section.rows}
    return [*_coverage(cells), *_comparison(cells, column.measure), *_frontier(cells, sizes, column.measure)]


def _coverage(cells: Mapping[str, Cell]) -> Iterator[Sentence]:
    shown = {name: cell.interval for name, cell in cells.items() if cell.interval}
    if len(shown) < len(cells):
        lacking = [name for name in cells if name not in shown]
        yield Sentence("No number", f"{some(lacking)}.")
    by_reason: dict[str, list[str]] = {}
    for name in shown:
        if why := obstacle(cells[name]):
            by_reason.setdefault(why, []).append(name)
    for why, tainted in sorted(by_reason.items()):
        those = "every entry" if len(tainted) == len(shown) > 2 else some(tainted)
        yield Sentence(f"Not compared, {why}", f"{those}.")


def _comparison(cells: Mapping[str, Cell], measure: Measure) -> Iterator[Sentence]:
    entries = {name: cell.entry for name, cell in cells.items() if cell.comparable and cell.entry}
    found = standing(entries, measure.higher_is_better)
    if found is None:
        yield Sentence("Comparison", f"none, as {UNCOMPARED}")
        return
    best = cells[found.best].interval
    assert best is not None
    word = "Highest" if measure.higher_is_better else "Lowest"
    yield Sentence(f"{word} mean", f"{found.best}, {number(best.estimate, measure)} {bounds(best, measure)}.")
    gaps = {name: found.differences[name] for name in sorted(found.differences)}
    if found.together:
        close = [f"{name} ({_gap(gaps[name], measure)})" for name in _by_size(gaps, found.together)]
        yield Sentence("Not told apart from it", f"{some(close)}.")
    if found.apart:
        far = [f"{name} ({number(gaps[name].estimate, measure)})" for name in _by_size(gaps, found.apart)]
        word = "lower" if measure.higher_is_better else "higher"
        yield Sentence(f"Told apart from it, {word}", f"{some(far)}.")
    yield Sentence("Differences", DIFFERENCES)


def _by_size(gaps: Mapping[str, Interval], chosen: Sequence[str]) -> list[str]:
    return sorted(chosen, key=lambda name: (abs(gaps[name].estimate), name))


def _gap(gap: Interval, measure: Measure) -> str:
    return f"{number(gap.estimate, measure)} {bounds(gap, measure)}".rstrip()


def _frontier(cells: Mapping[str, Cell], sizes: Mapping[str, float | None], measure: Measure) -> Iterator[Sentence]:
    points: dict[str, tuple[float, float]] = {}
    for name, cell in cells.items():
        size = sizes[name]
        if size is not None and cell.comparable and cell.interval is not None:
            points[name] = (size, cell.interval.estimate)
    if len(points) < 2:
        return
    order = list(points)
    chosen = [order[index] for index in frontier([points[name] for name in order], measure.higher_is_better)]
    yield Sentence("Frontier of the means", f"{some(chosen)}; neighbours on it may lie within noise.")
