"""Small record folders for comparisons: a method on a task of 200 items, whose chance to be right is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.comparison import Asked, Comparison, compare_records
from leaderboard.site import Trust
from tests.leaderboard.making import Made

TASK = "glue/sst2"


def scored(chance: float, trained: int, seed: int, num_items: int = 200) -> tuple[list[float], list[float]]:
    """Return predictions and references; ``trained`` tells one training of equal seeds from another."""
    right = np.random.default_rng([trained, seed]).random(num_items) < chance
    references = [float(number % 2) for number in range(num_items)]
    return [value if good else 1 - value for value, good in zip(references, right, strict=True)], references


def write(
    folder: Path,
    chance: float = 0.8,
    trained: int = 0,
    seeds: Sequence[int] = (0, 1, 2),
    num_items: int = 200,
    **facts: Any,
) -> Path:
    """Write the runs of one cell under a folder, and return the folder (Any: fields of ``Made``)."""
    for seed in seeds:
        Made(seed=seed, items={TASK: scored(chance, trained, seed, num_items)}, **facts).write(folder)
    return folder


def compared(base: Path, new: Path, **asked: Any) -> Comparison:
    """Compare two folders, trusting that nothing is stale (Any: fields of ``Asked``)."""
    return compare_records(Asked(base, new, **asked), Trust())


def details(found: Comparison) -> dict[str, str]:
    """Return each check's mark and detail by its name."""
    return {check.name: f"{check.mark}: {check.detail}" for check in found.report.checks}
