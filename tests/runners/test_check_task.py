"""Checking a task gives one finding per promise, and names the promise that a task breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from harness import registry
from harness.data import DataSource
from harness.task import Split, Task
from runners.check_task import PROMISES, check_task

TASK = "embedded/polarity"


def broken(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Task], Task]) -> dict[str, str]:
    """Return the promises that a spoilt task breaks, with what was found."""
    spoilt = spoil(registry.load_task(TASK, "classify"))
    monkeypatch.setattr(registry, "load_task", lambda name, protocol=None: spoilt)
    return {found.promise: found.detail for found in check_task(TASK, DataSource()) if found.outcome == "broken"}


def carded(**facts: Any) -> Callable[[Task], Task]:
    def spoil(task: Task) -> Task:
        return type(task)(task.card.model_copy(update=facts))

    return spoil


def test_every_promise_has_its_finding() -> None:
    assert [found.promise for found in check_task(TASK, DataSource())] == list(PROMISES)


def test_a_wrong_chance_level_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = registry.load_task(TASK).card.metric.model_copy(update={"chance": 0.9})
    found = broken(monkeypatch, carded(metric=metric))
    assert found == {"a constant answer is at the chance level": "a constant gives 0.5000, the card says 0.9"}


def test_a_wrong_size_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fewer(Task):
        def table(self, split: Split) -> pa.Table:
            return real.table(split).slice(0, 100)

    real = registry.load_task(TASK)
    found = broken(monkeypatch, lambda task: Fewer(task.card))
    assert "train has 100 rows and is generated, but the card says 4,000" in found.popitem()[1]


def test_labels_outside_the_card_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Third(Task):
        def table(self, split: Split) -> pa.Table:
            table = real.table(split)
            return table.set_column(table.column_names.index("label"), "label", pa.array([2] * table.num_rows))

    real = registry.load_task(TASK)
    found = broken(monkeypatch, lambda task: Third(task.card))
    assert "has 32 labels outside 0 to 1, such as 2" in found["every row is encoded, every item has a name"]


def test_rows_that_change_from_read_to_read_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Moving(Task):
        turn = 0

        def table(self, split: Split) -> pa.Table:
            Moving.turn += 1
            table = real.table(split)
            return pa.concat_tables([table.slice(Moving.turn % 7), table.slice(0, Moving.turn % 7)])

    real = registry.load_task(TASK)
    assert "the rows are in a stable order" in broken(monkeypatch, lambda task: Moving(task.card))
