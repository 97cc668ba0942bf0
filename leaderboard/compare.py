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
    """Set the entry with the best mean against every other; None with fewer than two entries.

    Args:
        entries: name to rows, each with at least two seeds, all on one task.
        higher_is_better: the direction of the score.
    """
    if len(entries) < 2:
        return None
    sign = 1.0 if higher_is_better else -1.0
    means = {name: sign * sum(entry.scores.values()) / len(entry.scores) for name, entry in entries.items()}
    best = max(sorted(means), key=means.__getitem__)
    differences: dict[str, Interval] = {}
    for name in sorted(entries):
        if name != best and _pairable(entries[best], entries[name]):
            differences[name] = paired_difference(entries[best], entries[name])
    apart = holm({name: difference.p_value for name, difference in differences.items() if difference.ranks})
    together = tuple(name for name in differences if name not in apart)
    return Standing(best, differences, tuple(sorted(apart)), together)


def _pairable(first: Entry, second: Entry) -> bool:
    return bool(first.rows.keys() & second.rows.keys()) and not set(first.item_ids).isdisjoint(second.item_ids)


def holm(p_values: Mapping[str, float | None]) -> list[str]:
    """Return the names whose p value stays significant at 5 % under Holm's step-down correction."""
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    passed: list[str] = []
    for number, (p, name) in enumerate(known):
        if p * (len(known) - number) > ALPHA:
            break
        passed.append(name)
    return passed
