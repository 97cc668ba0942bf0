"""Columns: one scored task each, with what its card says of its metric; nothing about tasks is known elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import UnknownName
from harness.metric import find
from leaderboard.load import Run
from leaderboard.statistics import Interval


class Measure(NamedTuple):
    """What the headline number of a task means, as its card says."""

    name: str
    higher_is_better: bool
    unit: str
    chance: float | None
    ceiling: float | None

    @property
    def scale(self) -> float:
        """What a score is multiplied by before it is shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def lowest(self) -> float | None:
        """The smallest possible value, where it is known."""
        try:
            return find(self.name).lowest if self.higher_is_better else None
        except UnknownName:
            return None

    def within(self, interval: Interval) -> Interval:
        """Cut an interval where values cannot be."""
        if interval.low is None or interval.high is None or not self.higher_is_better:
            return interval
        low = interval.low if self.lowest is None else max(interval.low, self.lowest)
        return interval._replace(
            low=low, high=interval.high if self.ceiling is None else min(interval.high, self.ceiling)
        )


@dataclass(frozen=True)
class Column:
    """One scored task of a section."""

    task: str
    title: str
    measure: Measure
    version: int | None
    """The newest card version among the runs."""
    states: tuple[str, ...]
    """What the mirror said of its data, when not complete."""
    seeds: tuple[int, ...]
    """Every seed that some run of the section has."""
    items: tuple[int, ...]
    """Different numbers of scored test items, ascending."""


def headline(run: Run, column: Column) -> float | None:
    """Return a run's headline number on a task, None where it is undefined or absent."""
    score = run.score(column.task)
    return score.metrics.get(column.measure.name) if score else None


def column_of(task: str, runs: Sequence[Run]) -> Column:
    """Return what the runs' own records say of a task; the newest version of its card wins."""
    runs = [run for run in runs if task in run.record.spec.score]
    cards = [card for run in runs if (card := run.record.task_cards.get(task))]
    newest = max(cards, key=lambda card: (version_of(card) or 0, json.dumps(card, sort_keys=True)), default={})
    facts = newest.get("metric")
    scores = [score for run in runs if (score := run.score(task))]
    headlines = sorted({score.headline for score in scores})
    measure = Measure(headlines[0] if headlines else "score", True, "", None, None)
    if isinstance(facts, dict):
        chance, ceiling = (_number(facts.get(name)) for name in ("chance", "ceiling"))
        name, unit = str(facts.get("name", measure.name)), str(facts.get("unit", ""))
        measure = Measure(name, bool(facts.get("higher_is_better", True)), unit, chance, ceiling)
    states = {run.record.digests.data_state.get(task, "") for run in runs} - {"", "complete"}
    return Column(
        task=task,
        title=str(newest.get("title", task)),
        measure=measure,
        version=version_of(newest),
        states=tuple(sorted(states)),
        seeds=tuple(sorted({run.record.spec.seed for run in runs})),
        items=tuple(sorted({score.num_items for score in scores})),
    )


def version_of(card: Mapping[str, Any]) -> int | None:  # Any: a card as JSON
    """Return the version of a task card, None where it is unknown."""
    version = card.get("version")
    return version if isinstance(version, int) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
