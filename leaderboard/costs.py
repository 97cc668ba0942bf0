"""What a row cost: means over its runs, and why some costs may not be set against others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from harness.record import Counts, Record
from leaderboard.cells import Row


class Bill(NamedTuple):
    """What the searches cost that chose a row's values."""

    num_trials: int
    seconds: float | None


class Costs(NamedTuple):
    """One row's costs; None is unknown."""

    fit_seconds: float | None
    """Mean over tasks of the mean over seeds, like every mean here."""
    peak_bytes: float | None
    part_bytes: float | None
    latency: float | None
    """Of one forward pass over one row, as trained."""
    merged_latency: float | None
    """Of the same through the backbone alone, where the method leaves nothing beside it."""
    sparsity: float | None
    bill: Bill | None
    packed: bool
    """Whether runs shared a device, so that time and memory may not be compared."""
    num_tasks: int
    """Trained tasks that the means are over."""


def costs(row: Row) -> Costs:
    """Return a row's costs over the runs that have a result."""
    records = [run.record for run in row.good]
    packed = any((shared := record.environment.get("runs_per_device")) and shared != 1 for record in records)
    return Costs(
        fit_seconds=_mean(records, lambda record: record.cost.seconds.get("fit")),
        peak_bytes=_mean(records, lambda record: record.cost.peak_bytes),
        part_bytes=_mean(records, lambda record: record.cost.trained_part_bytes),
        latency=_mean(records, lambda record: record.cost.latency_seconds),
        merged_latency=_mean(records, _merged_latency),
        sparsity=_mean(records, lambda record: record.sparsity),
        bill=_bill(records),
        packed=packed,
        num_tasks=len({record.spec.train for record in records}),
    )


def counted(row: Row, count: Callable[[Counts], int]) -> tuple[int, ...]:
    """Return the different values of one count among a row's results, ascending."""
    return tuple(sorted({count(run.record.counts) for run in row.good if run.record.counts}))


def _merged_latency(record: Record) -> float | None:
    merges = record.counts is not None and record.counts.extra_at_inference == 0
    return record.cost.plain_latency_seconds if merges else None


def _mean(records: Iterable[Record], value: Callable[[Record], float | None]) -> float | None:
    """Return the mean over trained tasks of the mean over seeds; None where some run lacks the value."""
    by_task: dict[str, list[float]] = {}
    for record in records:
        found = value(record)
        if found is None:
            return None
        by_task.setdefault(record.spec.train, []).append(found)
    return float(np.mean([np.mean(found) for found in by_task.values()])) if by_task else None


def _bill(records: Iterable[Record]) -> Bill | None:
    """Add up the searches that the records name, each once; None without a search."""
    searches = {str(record.search.get("search")): record.search for record in records if record.search}
    if not searches:
        return None
    trials = [found for one in searches.values() if isinstance(found := one.get("num_trials"), int)]
    seconds = [found for one in searches.values() if isinstance(found := one.get("seconds"), int | float)]
    return Bill(sum(trials), float(sum(seconds)) if len(seconds) == len(searches) else None)
