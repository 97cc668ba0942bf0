"""Which runs of a section form one row: equal in what was asked, and never two of one seed and task."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from harness.spec import Spec
from leaderboard.load import Run

SETTINGS = ("train", "score", "options", "training", "threads")
"""Fields of a spec that usually are equal or follow the method; rows split by them where they would collide."""
Settings = tuple[tuple[str, str], ...]


def asked(spec: Spec) -> str:
    """Return what makes two runs one row: method, values, budget and targets."""
    fields = spec.model_dump(mode="json", include={"method", "values", "budget", "targets"})
    return json.dumps(fields, sort_keys=True)


def without_collisions(runs: Sequence[Run]) -> list[tuple[Settings, list[Run]]]:
    """Split a row by its settings where otherwise two runs of one seed and task would share a cell."""
    places: dict[tuple[int, str], list[str]] = defaultdict(list)
    for run in runs:
        for task in run.record.spec.score:
            places[run.record.spec.seed, task].append(run.run_id)
    if all(len(sharing) == 1 for sharing in places.values()):
        return [((), list(runs))] if runs else []
    every = {run.run_id: _settings(run.record.spec) for run in runs}
    differ: set[str] = set()
    for sharing in places.values():
        first = every[sharing[0]]
        differ |= {name for other in sharing[1:] for name in first if every[other][name] != first[name]}
    groups: dict[Settings, list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple((name, in_words(every[run.run_id][name])) for name in sorted(differ))].append(run)
    return sorted(groups.items(), key=lambda pair: pair[0])


def _settings(spec: Spec) -> dict[str, Any]:  # Any: JSON values
    fields = spec.model_dump(mode="json", include=set(SETTINGS))
    return {**fields.pop("training"), **fields}


def in_words(value: Any) -> str:  # Any: a JSON value
    """Return a value of a spec as a row shows it."""
    return value if isinstance(value, str) else json.dumps(value)
