"""Averages: one number for a family of tasks, such as GLUE's, over the cells of a row.

A task file states them in a literal ``AVERAGES``; each is a mean of group means, where a group may be a single task.
The interval takes the tasks as independent of each other given the method: variances add up, and Satterthwaite's
formula gives the degrees of freedom. A row that lacks a task has no average: a mean over other tasks would be another
number. The same weights serve the normalised gain and the mean rank, which put different metrics on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.registry import averages
from leaderboard.cells import Cell, Section
from leaderboard.panel import Panel, common, panel_of
from leaderboard.spread import Matrix
from leaderboard.statistics import (
    ITEMS_ONLY,
    LEVEL,
    SEEDS_AND_ITEMS,
    Entry,
    Interval,
    centred,
    mean_interval,
    paired_difference,
)


class Average(NamedTuple):
    """What an average is of."""

    name: str
    title: str
    groups: tuple[tuple[str, ...], ...]

    @property
    def weights(self) -> dict[str, float]:
        """Task to its share of the average."""
        return {task: 1 / len(self.groups) / len(group) for group in self.groups for task in group}


def averages_of(section: Section) -> tuple[Average, ...]:
    """Return the averages whose tasks a section has in full, by name."""
    tasks = {column.task for column in section.columns}
    known = (_average(facts) for facts in averages())
    return tuple(one for one in sorted(known) if one.weights.keys() <= tasks)


class Outcome(NamedTuple):
    """An average, or the reason why there is none."""

    value: Interval | None
    reason: str = ""
    """Empty where there is a value."""


def average(cells: Mapping[str, Cell], of: Average) -> Interval | None:
    """Return the average of a row's cells with its 95 % interval; null where a task has no number."""
    return suite_average(cells, of).value


def suite_average(cells: Mapping[str, Cell], of: Average) -> Outcome:
    """Return the official average of a suite: the mean of its groups' means, with its 95 % interval.

    ``sum(w_t score_t)`` over its tasks, ``w_t = 1 / (groups * tasks in the group)``. Variances add up as ``w_t^2
    error_t^2``, for tasks are independent given the method. A row that lacks a task has no average, as a mean over
    other tasks would be another number; the reason names the tasks.
    """
    known = {task: cells[task].interval for task in of.weights if task in cells}
    missing = [task for task in of.weights if known.get(task) is None]
    if missing:
        return Outcome(None, f"no number on {', '.join(missing)}")
    return Outcome(weighted([(weight, known[task]) for task, weight in of.weights.items()]))


def weighted(parts: Sequence[tuple[float, Interval | None]]) -> Interval:
    """Return the weighted sum of independent estimates, with Satterthwaite's degrees of freedom."""
    known = [(weight, interval) for weight, interval in parts if interval is not None]
    assert len(known) == len(parts), "callers say why a part is missing"
    mean = sum(weight * interval.estimate for weight, interval in known)
    num_seeds, num_items = min(one.num_seeds for _, one in known), sum(one.num_items for _, one in known)
    spreads = [
        (weight**2 * interval.error**2, interval.degrees)
        for weight, interval in known
        if interval.error is not None and interval.degrees is not None
    ]
    if len(spreads) < len(known):
        return Interval(mean, None, None, num_seeds, num_items, "one of its tasks has no interval")
    bases = {interval.basis for _, interval in known}
    if len(bases) > 1:
        return Interval(mean, None, None, num_seeds, num_items, "its tasks were run on different numbers of seeds")
    variance = sum(part for part, _ in spreads)
    if not variance:  # which is no proof that another seed would give the same
        return Interval(mean, None, None, num_seeds, num_items, "none of its tasks shows a spread")
    degrees = variance**2 / sum(part**2 / free for part, free in spreads)
    half = float(special.stdtrit(degrees, (1 + LEVEL) / 2)) * variance**0.5
    return Interval(mean, mean - half, mean + half, num_seeds, num_items, bases.pop(), variance**0.5, degrees)


def normalised_gain(
    cells: Mapping[str, Cell], full: Mapping[str, Cell], zero: Mapping[str, Cell], of: Average
) -> Outcome:
    """Return the mean share of full fine-tuning's gain that a row reaches: 0 is the frozen backbone, 1 is full.

    ``sum(w_t g_t)`` with ``g_t = (score - zero) / (full - zero)`` on each task and the weights of the suite's official
    average. It makes tasks of different metrics comparable, whether higher or lower is better. On a task where full
    fine-tuning is not told apart from the zero point the share means nothing, and the row has no normalised gain.

    Args:
        cells: the row's cells by task.
        full: the cells of full fine-tuning.
        zero: those of the reference that trains nothing (``base``, else ``head_only``).
        of: the average whose tasks and weights are used.
    """
    parts: list[tuple[float, Interval | None]] = []
    reasons: list[str] = []
    for task, weight in of.weights.items():
        trio = [side[task].entry if task in side else None for side in (cells, full, zero)]
        entry, top, bottom = trio
        if entry is None or top is None or bottom is None:
            who = [name for name, one in zip(("the row", "full", "zero"), trio, strict=True) if one is None]
            reasons.append(f"{task} has no items of {' and '.join(who)}")
            continue
        try:
            parts.append((weight, gain(entry, top, bottom)))
        except ValueError as error:
            reasons.append(f"{task}: {error}")
    return Outcome(None, "; ".join(reasons)) if reasons else Outcome(weighted(parts))


def gain(entry: Entry, full: Entry, zero: Entry) -> Interval:
    """Return the share of full fine-tuning's gain that an entry reaches on one task, with its 95 % interval.

    ``g = (score - zero) / (full - zero)``, all three on the same seeds and items. The interval is that of the mean of
    ``g + (u - u_zero - g (u_full - u_zero)) / (full - zero)`` over seeds and items, where ``u`` are an entry's items or
    pseudo-values: the ratio to first order (the delta method).

    Raises:
        ValueError: if the three share no seed or item, or full fine-tuning is not told apart from the zero point.
    """
    shared = common({"entry": entry, "full": full, "zero": zero})
    if not shared:
        raise ValueError("the row, full and zero share no seeds and items")
    whole = paired_difference(shared["full"], shared["zero"])
    if whole.low is None or whole.high is None or whole.low <= 0 <= whole.high:
        raise ValueError("full fine-tuning is not told apart from the zero point")
    share = paired_difference(shared["entry"], shared["zero"]).estimate / whole.estimate
    bottom = shared["zero"].units
    units = (shared["entry"].units - bottom - share * (shared["full"].units - bottom)) / whole.estimate
    return centred(mean_interval(share + units), share, len(shared["entry"].item_ids))


def mean_rank(
    rows: Mapping[str, Mapping[str, Cell]], of: Average, higher_is_better: Mapping[str, bool]
) -> dict[str, Outcome]:
    """Return each row's rank on the tasks of an average, averaged by the average's weights; 1 is best.

    ``sum(w_t rank_t)``, ranks by mean score, equal ones sharing theirs. Only rows that have every task take part, so
    that all are ranked among the same rivals; the others are told why not. A mean rank depends on who else is there:
    read it beside the number of rows. The interval is the central 95 % of the same number in joint draws of each
    task, so it says how far the mean rank would move if everything were run again.

    Args:
        rows: row name to its cells by task.
        of: the average whose tasks and weights are used.
        higher_is_better: the direction of each task's score.
    """
    lacking = {
        name: [task for task in of.weights if task not in cells or not cells[task].comparable]
        for name, cells in rows.items()
    }
    found = {
        name: Outcome(None, f"no comparable number on {', '.join(tasks)}") for name, tasks in lacking.items() if tasks
    }
    whole = [name for name in rows if not lacking[name]]
    panels = []
    for task in of.weights:
        entries = {name: entry for name in whole if (entry := rows[name][task].entry) is not None}
        panel = panel_of(entries, higher_is_better[task], key=task)
        if panel is None or len(panel.names) < len(whole):
            reason = f"fewer than two rows can be compared on {task}"
            return {name: found.get(name, Outcome(None, reason)) for name in rows}
        panels.append(panel)
    return found | _mean_ranks(panels, list(of.weights.values()))


def _mean_ranks(panels: Sequence[Panel], weights: Sequence[float]) -> dict[str, Outcome]:
    """Average ranks over panels of the same rows."""
    from scipy import stats  # takes a third of a second, which all that needs no ranks need not wait for

    def ranks(scores: Matrix, panel: Panel) -> Matrix:
        return np.asarray(stats.rankdata(-panel.sign * np.round(scores, 12), axis=-1))

    means = sum(weight * ranks(panel.means, panel) for panel, weight in zip(panels, weights, strict=True))
    num_seeds, num_items = min(panel.num_seeds for panel in panels), sum(panel.num_items for panel in panels)
    drawn = [panel.draws for panel in panels]
    spread: Matrix | None = None
    if all(one is not None for one in drawn):
        every = zip(drawn, panels, weights, strict=True)
        total = sum(weight * ranks(draws, panel) for draws, panel, weight in every if draws is not None)
        spread = np.quantile(total, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    found = {}
    for place, name in enumerate(panels[0].names):
        mean = float(np.asarray(means)[place])
        low = None if spread is None else min(mean, float(spread[0, place]))
        high = None if spread is None else max(mean, float(spread[1, place]))
        basis = ITEMS_ONLY if spread is None else SEEDS_AND_ITEMS
        found[name] = Outcome(Interval(mean, low, high, num_seeds, num_items, basis))
    return found


def _average(facts: Mapping[str, object]) -> Average:
    groups = facts.get("groups") or {task: [task] for task in _names(facts["tasks"])}
    assert isinstance(groups, dict)
    return Average(str(facts["name"]), str(facts["title"]), tuple(_names(group) for group in groups.values()))


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, Sequence)
    return tuple(map(str, value))
