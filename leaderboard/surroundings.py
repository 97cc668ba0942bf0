"""What a task's chart shows around the marks: how sure the frontier is, and what papers report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from leaderboard.cells import Section
from leaderboard.columns import Column, Measure
from leaderboard.marks import NUM_COLOURS, Drawing, Quoted, Reached
from leaderboard.panel import panel_of
from leaderboard.pareto import frontier_band, frontier_chances
from leaderboard.reported import Number, beside
from leaderboard.statistics import Entry, Interval
from leaderboard.wording import NO_BREAK, Sentence, axis, count, listing, names, number

UNLIKELY = 0.05
"""Rows that are on the frontier in fewer joint draws are counted and not named."""
NAMED = 8
"""Rows that the text names, the surest first."""
MANY = 100
"""Up to so many rows all take part in the joint draws of the frontier."""


def surroundings(
    drawing: Drawing, section: Section, column: Column, numbers: Mapping[str, int]
) -> tuple[Drawing, tuple[Sentence, ...]]:
    """Return a task's chart with its frontier band and the papers' numbers, and what there is to say of both."""
    band, chances = _frontier(section, column)
    found = beside(section, column)
    quoted = tuple(_quoted(one, size, column.measure, numbers) for one, size in found.shown)
    sentences = (*_chance_words(chances), *found.sentences)
    return drawing._replace(band=band, quoted=quoted), sentences


def _frontier(section: Section, column: Column) -> tuple[tuple[Reached, ...], Mapping[str, float]]:
    """Return the band of what can be reached with so many parameters, and each row's chance to lie on its edge."""
    named = names(section.rows)
    entries: dict[str, Entry] = {}
    sizes: dict[str, float] = {}
    for row in section.rows:
        cell = row.cells[column.task]
        if cell.comparable and cell.entry is not None and row.size is not None:
            entries[named[row]], sizes[named[row]] = cell.entry, row.size
    sign = 1.0 if column.measure.higher_is_better else -1.0
    intervals = {named[row]: interval for row in section.rows if (interval := row.cells[column.task].interval)}
    ends = {name: _ends(intervals[name], sign) for name in entries}
    kept = list(entries)
    if len(entries) > MANY:  # else all take part, so that chart and table give the same chances
        kept = in_reach({name: (sizes[name], *ends[name]) for name in entries})
    panel = panel_of({name: entries[name] for name in kept}, column.measure.higher_is_better)
    if panel is None:
        return (), {}
    scale = column.measure.scale
    steps = frontier_band(panel, sizes)
    band = tuple(Reached(step.size, step.score * scale, step.low * scale, step.high * scale) for step in steps)
    return band, {**dict.fromkeys(entries, 0.0), **frontier_chances(panel, sizes)}


def _ends(interval: Interval, sign: float) -> tuple[float, float]:
    """Return the worst and the best end of an interval, so that more is better."""
    assert interval.low is not None
    assert interval.high is not None
    low, high = sorted((sign * interval.low, sign * interval.high))
    return low, high


def in_reach(ends: Mapping[str, tuple[float, float, float]]) -> list[str]:
    """Return the entries that may lie on the frontier: no entry as small is better by more than both intervals.

    Joint draws of 500 entries take half a second for each task; of the few in reach, they take none.

    Args:
        ends: name to trained parameters, and worst and best end of the interval.
    """
    kept: list[str] = []
    bar = float("-inf")
    for _, group in groupby(sorted(ends, key=lambda name: (ends[name][0], name)), key=lambda name: ends[name][0]):
        names_here = list(group)
        bar = max(bar, *(ends[name][1] for name in names_here))
        kept += [name for name in names_here if ends[name][2] >= bar]
    return kept


def _chance_words(chances: Mapping[str, float]) -> Iterator[Sentence]:
    if not chances:
        return
    likely = sorted((-chance, name) for name, chance in chances.items() if chance >= UNLIKELY)
    words = [f"{name} {percent(-chance)}" for chance, name in likely[:NAMED]]
    rest = len(chances) - len(words)
    others = f"; {rest} {'other' if rest == 1 else 'others'} less" if rest else ""
    text = f"{listing(words)}{others}: the share of draws of other seeds and items in which nothing as small is better."
    yield Sentence("Chance to lie on the frontier", text)


def percent(share: float) -> str:
    """Return a probability from joint draws, which never show that something is certain."""
    rounded = round(100 * share)
    return f"{'>' if rounded == 100 else '<' if rounded == 0 else ''}{min(99, max(1, rounded))}{NO_BREAK}%"


def _quoted(one: Number, size: float, measure: Measure, numbers: Mapping[str, int]) -> Quoted:
    hue = numbers[one.method] % NUM_COLOURS + 1 if one.method in numbers else None
    words = (
        ("", f"{one.label}, reported by a paper"),
        ("Trained parameters", count(size)),
        (axis(measure), number(one.value, measure)),
        ("Source", one.source),
    )
    return Quoted(one.label, hue, size, one.value * measure.scale, words)
