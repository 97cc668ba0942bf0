"""Rows: what the generated tasks hold, how every split policy divides them, and in which order they are trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
from pydantic import JsonValue

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.random import Streams
from harness.spec import POLICIES, Sizes
from harness.splits import Part, split
from harness.task import Task
from runners.fit import training_batches

ABOUT = (
    "Generated task and split to its rows; task, policy and data seed to the rows of each role (whole, and at most 40, "
    "20 and 30 of them); seed and epoch to the batches of 100 texts."
)
NEEDS: tuple[str, ...] = ()
SEEDS = (0, 1)
SMALL = Sizes(train=40, validation=20, test=30)


def values() -> dict[str, JsonValue]:
    """Return counts with digests of their contents in order."""
    found: dict[str, JsonValue] = {}
    source = DataSource()
    for task in generated():
        for name in task.card.source.splits:
            found[f"{task.card.name} {name}: rows"] = _counted(map(_text, task.table(name).to_pylist()))
        for policy, seed in product(POLICIES, SEEDS):
            for label, sizes in (("all", Sizes()), ("small", SMALL)):
                found |= _divided(task, source, policy, sizes, seed, f"{task.card.name} {policy} {label}, seed {seed}")
    for seed, epoch in product(SEEDS, (1, 2)):
        lengths = np.arange(100, dtype=np.int64) * 7 % 61
        batches = [rows.tolist() for rows in training_batches(lengths, 8, Streams(seed), epoch)]
        found[f"batches of 8, seed {seed}, epoch {epoch}"] = _counted(map(str, batches))
    return found


def generated() -> list[Task]:
    """Return our tasks whose rows are made and not fetched."""
    tasks = [registry.load_task(name) for name, entry in registry.tasks().items() if entry.origin == "built-in"]
    return [_Remembered(task) for task in tasks if not task.card.source.hub]


class _Remembered(Task):
    """A task whose rows are made once: twelve divisions read the same ones."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.card)
        self.tables = {name: task.table(name) for name in task.card.source.splits}
        self.prepare = task.prepare  # type: ignore[method-assign]

    def table(self, name: Any) -> Any:  # Any: a split and its Arrow table
        return self.tables[name]


def _divided(
    task: Task, source: DataSource, policy: str, sizes: Sizes, data_seed: int, label: str
) -> dict[str, JsonValue]:
    try:
        parts = split(task, [task], source, policy=policy, sizes=sizes, data_seed=data_seed, sealed=False)
    except MissingPrerequisite:
        return {f"{label}: parts": "none"}
    roles: dict[str, Part | None] = {"train": parts.train, "validation": parts.validation, **parts.tests}
    return {
        f"{label}: {'test' if role in parts.tests else role}": _counted(part.item_ids()) if part else "none"
        for role, part in roles.items()
    }


def _counted(texts: Iterable[str]) -> str:
    """Return how many there are, and a digest of them in their order."""
    listed = list(texts)
    return f"{len(listed)}, {hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]}"


def _text(row: dict[str, Any]) -> str:  # Any: as the task makes them
    return json.dumps(row, sort_keys=True, default=lambda value: hashlib.sha256(value).hexdigest())
