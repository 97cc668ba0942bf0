"""Regressions: which cells are worse than their baseline by more than a margin and chance explain.

The cells that one comparison decides are one family, as one red cell turns it red; those made of the very same results
decide nothing and do not count. ``drops`` says what fails, and what a cell can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from harness.errors import UserError
from harness.gate import Check, Outcome
from harness.metric import find
from leaderboard.columns import Measure
from leaderboard.compare import ALPHA
from leaderboard.drops import Drop, at_most, drop_of, half_width, need, p_value
from leaderboard.matching import Match
from leaderboard.past import Past, history

PERCENT, PLAIN = 1.0, 0.1
"""Margins where none is given: points for metrics in %, and the metric's own units for others."""


class Margins(NamedTuple):
    """The largest drops that are tolerated, in the units that scores are shown in."""

    percent: float = PERCENT
    of_metric: Mapping[str, float] = MappingProxyType({})
    """Metric name to its own margin."""

    def of(self, measure: Measure) -> float:
        """Return the margin of a metric."""
        return self.of_metric.get(measure.name, self.percent if measure.unit == "%" else PLAIN)


def parse_margins(texts: Iterable[str]) -> Margins:
    """Return margins from texts such as ``1.5`` (points, for metrics in %) and ``judge.rating=0.2``.

    Raises:
        UserError: for what is no positive number, or no metric.
    """
    margins = Margins()
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not 0 < number < float("inf"):
            raise UserError(f"--margin {text}: give a number above 0, such as 1, or METRIC=NUMBER")
        if not name:
            margins = margins._replace(percent=number)
            continue
        find(name)
        margins = margins._replace(of_metric={**margins.of_metric, name: number})
    return margins


class Numbers(NamedTuple):
    """What was measured of a cell, as shown; drops are positive where the new results are worse."""

    base: float
    new: float
    drop: float
    half_width: float
    """Of the drop's 95 % interval."""
    margin: float
    seen_from: float
    """The smallest drop that would fail in 80 % of repetitions."""
    p_value: float
    """Of the drop being at most the margin, before the correction."""

    def shown(self, scale: float) -> Numbers:
        """Return them as they are shown."""
        return Numbers._make([*(round(scale * length, 10) for length in self[:-1]), self.p_value])


@dataclass(frozen=True)
class Verdict:
    """What was found of one cell."""

    match: Match
    outcome: Outcome
    reason: str = ""
    """Where there are no numbers: why."""
    numbers: Numbers | None = None

    @property
    def worst_first(self) -> tuple[int, float, str]:
        """What verdicts are sorted by: failures, cells without data, those that cannot be told, and passes."""
        order = (Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)
        drop = self.numbers.drop / self.numbers.margin if self.numbers else 0.0
        return order.index(self.outcome), -drop, f"{self.match.either.group}; {self.match.either.name}"

    def check(self) -> Check:
        """Return it as a line of a report."""
        placed, facts = self.match.either, self.numbers._asdict() if self.numbers else {}
        blocks = not self.match.never_applied
        return Check(placed.group, placed.name, self.outcome, self._detail(), facts, blocks=blocks)

    def _detail(self) -> str:
        if (got := self.numbers) is None:
            return self.reason
        unit = self.match.either.column.measure.unit
        ends = f"{got.drop - got.half_width:.2f} to {got.drop + got.half_width:.2f}"
        return (
            f"{got.base:.2f} -> {got.new:.2f}{f' {unit}' if unit else ''}, a drop of {got.drop:.2f} (95 %: {ends}), "
            f"margin {got.margin:g}, p {got.p_value:.2g}; a drop of {got.seen_from:.2f} would be seen"
        )


def verdicts(matches: Sequence[Match], past: Past, margins: Margins) -> list[Verdict]:
    """Return the verdict on every cell, worst first."""
    found: list[Verdict] = []
    decided: list[tuple[Match, Drop]] = []
    for one in matches:
        if lack := one.lack():
            found.append(Verdict(one, Outcome.NO_DATA, lack))
        elif one.same:
            found.append(Verdict(one, Outcome.PASS, "the same results"))
        else:
            decided.append((one, measured(one, past)))
    found += _decide(decided, margins)
    return sorted(found, key=lambda verdict: verdict.worst_first)


def measured(one: Match, past: Past) -> Drop:
    """Return the drop of a cell: its width from items and seeds, its size from the scores that records hold."""
    base, new = one.sides()
    sign = 1.0 if one.either.column.measure.higher_is_better else -1.0
    drop = drop_of(sign * base.units, sign * new.units, history(past, one.key, one.either))
    size = sign * np.mean([base.scores[seed] - new.scores[seed] for seed in base.scores])
    return drop._replace(size=np.asarray(size))


def holm(p_values: Mapping[str, float | None]) -> list[str]:
    """Return the names whose p value stays significant at 5 % under Holm's step-down correction."""
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    passed: list[str] = []
    for number, (p, name) in enumerate(known):
        if p * (len(known) - number) > ALPHA:
            break
        passed.append(name)
    return passed


def _decide(decided: Sequence[tuple[Match, Drop]], margins: Margins) -> list[Verdict]:
    allowed = [margins.of(one.either.column.measure) / one.either.column.measure.scale for one, _ in decided]
    p_values = [float(p_value(drop, margin)) for (_, drop), margin in zip(decided, allowed, strict=True)]
    failed = holm({str(place): p for place, p in enumerate(p_values)})
    found = []
    for place, (one, drop) in enumerate(decided):
        margin, least = allowed[place], float(need(drop, len(decided)))
        told = least <= margin or bool(at_most(drop, margin))
        outcome = Outcome.FAIL if str(place) in failed else Outcome.PASS if told else Outcome.INCONCLUSIVE
        base, new = (float(np.mean(list(side.scores.values()))) for side in one.sides())
        numbers = Numbers(base, new, float(drop.size), float(half_width(drop)), margin, margin + least, p_values[place])
        found.append(Verdict(one, outcome, numbers=numbers.shown(one.either.column.measure.scale)))
    return found
