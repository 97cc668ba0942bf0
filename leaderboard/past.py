"""Past: what earlier records say of how much the seeds of a cell vary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leaderboard.drops import History, history_of
from leaderboard.load import Loaded, load_records
from leaderboard.matching import Key, Placed, cells_of, result_of
from leaderboard.releases import sets_of_records
from leaderboard.spread import Matrix


class Seeds(NamedTuple):
    """One set of seeds of a cell, trained at one time."""

    metric: str
    version: int | None
    """Of the task."""
    means: Matrix
    """[num_seeds] mean over items."""


Past = Mapping[Key, Sequence[Seeds]]


def past_of(folders: Sequence[Path], known: Sequence[Loaded]) -> Past:
    """Return the earlier sets of every cell, each result counted once, as a copy tells nothing new.

    Args:
        folders: of records, of a release, or of many releases.
        known: records that are compared, and so are no history.

    Raises:
        UserError: if a folder is not there, or is a release that was altered.
    """
    seen = {result_of(run) for loaded in known for run in loaded.runs}
    past: dict[Key, list[Seeds]] = defaultdict(list)
    for folder in (place for given in folders for place in sets_of_records(given)):
        runs = [run for run in load_records([folder]).runs if result_of(run) not in seen]
        seen |= {result_of(run) for run in runs}
        for key, placed in cells_of(runs, {}).cells.items():
            entry = placed.cell.entry
            if entry is not None and len(entry.rows) > 1 and np.isfinite(entry.units).all():
                past[key].append(Seeds(entry.metric.name, placed.column.version, entry.units.mean(axis=1)))
    return past


def history(past: Past, key: Key, placed: Placed) -> History:
    """Return what the past says of a cell, by the same metric and version of the task."""
    facts = (placed.column.measure.name, placed.column.version)
    return history_of([seeds.means for seeds in past.get(key, ()) if (seeds.metric, seeds.version) == facts])
