"""Timing: what the bench measured of one row, the statistics of its ratios, and how both are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue


class Ratio(NamedTuple):
    """The median of per-round ratios."""

    median: float
    interval: tuple[float, float] | None
    """At least 95 %; null from fewer than six rounds."""


@dataclass(frozen=True)
class Timing:
    """What was measured of one row; null where it was not."""

    method: str
    targets: str
    budget: str | None = None
    """As asked; null for a method at its own size."""
    trained: int | None = None
    """Scalars outside the head that the optimiser updates."""
    start_seconds: float | None = None
    """To attach, and to calibrate where the choice needs data; once, and in no step."""
    step_seconds: float | None = None
    """Median over rounds."""
    share_of_products: float | None = None
    """Speed of the step's matrix products over that of plain square ones, measured in the same rounds."""
    ratio_to_limit: Ratio | None = None
    ratio_to_dense: Ratio | None = None
    ratio_to_lora: Ratio | None = None
    start_peak_bytes: int | None = None
    """Highest memory beyond the weights during ``start_seconds``."""
    peak_bytes: int | None = None
    """Highest memory beyond the weights during whole steps."""
    reason: str | None = None
    """Why figures are missing."""

    @property
    def label(self) -> str:
        """Return the words that name the row in a sentence."""
        return f"{self.method} on {self.targets}{f' at {self.budget}' if self.budget else ''}"


RATIOS = ("ratio_to_limit", "ratio_to_dense", "ratio_to_lora")
HEAD = ("method", "targets", "budget", "trained", "start s", "step s", "of peak")
COMPARED = ("x limit", "95 %", "x dense", "x lora")
MEMORY = ("start MiB", "peak MiB")
SHOWN = ("processor", "cores", "gpu", "torch", "python")
"""What a table says of the environment; JSON says all of it."""

Facts = Mapping[str, JsonValue]


def ratio(seconds: NDArray[np.float64], reference: NDArray[np.float64]) -> Ratio:
    """Return the median of the ratios of two rows' steps (rounds,), paired by round."""
    ratios = np.sort(seconds / reference)
    return Ratio(float(np.median(ratios)), median_interval(ratios))


def median_interval(values: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the narrowest pair of order statistics, as far from either end, that covers the median with confidence.

    The median lies below the k-th smallest of n values, or above the k-th largest, with probability
    P(Binomial(n, 1/2) < k) each, whatever the distribution.

    Args:
        values: (n,), in any order.
        confidence: in (0, 1).

    Returns:
        The pair, or null where n is too small for any.
    """
    ordered, count = np.sort(values), len(values)
    rank, below = 0, 0
    while 2 * (below + math.comb(count, rank)) <= (1 - confidence) * 2**count:
        below += math.comb(count, rank)
        rank += 1
    return (float(ordered[rank - 1]), float(ordered[count - rank])) if rank else None


def as_json(timings: Sequence[Timing], setting: Facts, environment: Facts) -> dict[str, JsonValue]:
    """Return what ``paretune bench --json`` prints."""
    return {
        "setting": dict(setting),
        "environment": dict(environment),
        "methods": [_as_row(timing) for timing in timings],
    }


def table(timings: Sequence[Timing], setting: Facts, environment: Facts) -> str:
    """Return the timings as text for a terminal: the setting, figures, then what could not be measured and why."""
    known = {name: environment[name] for name in SHOWN if environment.get(name) is not None}
    lines = [[*HEAD, *COMPARED, *MEMORY], *(_cells(timing) for timing in timings if timing.step_seconds is not None)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["; ".join(", ".join(f"{name} {fact}" for name, fact in facts.items()) for facts in (setting, known))]
    text += ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
    text += [f"{timing.label}: {timing.reason}" for timing in timings if timing.reason]
    return "\n".join(text)


def _as_row(timing: Timing) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {}
    for name, value in vars(timing).items():
        if name in RATIOS:
            row[name] = value and value.median
            row[f"{name}_interval"] = value and value.interval and list(value.interval)
        else:
            row[name] = value
    return row


def _cells(timing: Timing) -> list[str]:
    def shown(found: Ratio | None) -> str:
        return "-" if found is None else f"{found.median:.2f}"

    def mebibytes(peak: int | None) -> str:
        return "-" if peak is None else f"{peak / 2**20:.1f}"

    limit = timing.ratio_to_limit
    interval = f"{limit.interval[0]:.2f}-{limit.interval[1]:.2f}" if limit and limit.interval else "-"
    return [
        timing.method,
        timing.targets,
        timing.budget or "-",
        f"{timing.trained:,}",
        "-" if timing.start_seconds is None else f"{timing.start_seconds:.3f}",
        f"{timing.step_seconds:.3f}",
        "-" if timing.share_of_products is None else f"{100 * timing.share_of_products:.0f} %",
        shown(limit),
        interval,
        shown(timing.ratio_to_dense),
        shown(timing.ratio_to_lora),
        mebibytes(timing.start_peak_bytes),
        mebibytes(timing.peak_bytes),
    ]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.ljust(width) if column < 3 else cell.rjust(width)
