"""Differences that a reader may believe: paired on items and seeds, and corrected for looking at many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from leaderboard.load import Run, read_entry
from leaderboard.statistics import Entry, Interval, paired_difference

ALPHA = 0.05


def compare(runs_a: Sequence[Run], runs_b: Sequence[Run], task: str) -> Interval:
    """Return the headline score of cell a minus that of cell b on one task, with its paired 95 % interval.

    Raises:
        UnreadableRecord: if some run's items cannot be used.
        ValueError: if the task was not scored, or the cells share no seed or item.
    """
    headlines = {score.headline for run in (*runs_a, *runs_b) if (score := run.score(task))}
    if len(headlines) != 1:
        raise ValueError(f"{task}: need one headline metric on both sides, found {sorted(headlines) or 'none'}")
    (metric,) = headlines
    return paired_difference(read_entry(runs_a, task, metric), read_entry(runs_b, task, metric))


class Standing(NamedTuple):
    """The entry with the best mean, and which others the data tell apart from it."""

    best: str
    differences: Mapping[str, Interval]
    """Best minus other."""
    apart: tuple[str, ...]
    """Others that are worse by more than chance explains, Holm-corrected at 5 % over this family."""
    together: tuple[str, ...]
    """Others that are not told apart from the best: it is not shown to be better than these."""


def standing(entries: Mapping[str, Entry], higher_is_better: bool) -> Standing | None:
    """Set the entry with the best mean against every other; None with fewer than two entries, or nothing in common.

    Args:
        entries: name to rows, each with at least two seeds, all on one task; only the seeds and items that all have
            are looked at, so that the best is best in each of its differences.
        higher_is_better: the direction of the score.
    """
    entries = _common(entries)
    if len(entries) < 2:
        return None
    sign = 1.0 if higher_is_better else -1.0
    means = {name: sign * sum(entry.scores.values()) / len(entry.scores) for name, entry in entries.items()}
    best = max(sorted(means), key=means.__getitem__)
    differences = {name: paired_difference(entries[best], entries[name]) for name in sorted(entries) if name != best}
    apart = holm({name: difference.p_value for name, difference in differences.items() if difference.ranks})
    together = tuple(name for name in differences if name not in apart)
    return Standing(best, differences, tuple(sorted(apart)), together)


def _common(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Cut entries to the seeds and items that all of them have; nothing is left where they share none."""
    if not entries:
        return {}
    first, *others = entries.values()
    seeds = set(first.rows).intersection(*(other.rows for other in others))
    shared = set(first.item_ids).intersection(*(other.item_ids for other in others))
    items = [item for item in first.item_ids if item in shared]
    return {name: entry.part(sorted(seeds), items) for name, entry in entries.items()} if seeds and items else {}


def holm(p_values: Mapping[str, float | None]) -> list[str]:
    """Return the names whose p value stays significant at 5 % under Holm's step-down correction."""
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    passed: list[str] = []
    for number, (p, name) in enumerate(known):
        if p * (len(known) - number) > ALPHA:
            break
        passed.append(name)
    return passed
