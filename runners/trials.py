"""Trials of a search in progress: which are still to run, and what those that ended chose. Nothing runs or reads here.

How far a search is follows from what its trials came to and from nothing else, so the order in which they end does not
matter, and a finished search is made again from its records. A trial that was lost or cancelled says nothing about its
values: the search waits until it was run again. One that failed, diverged, ran out of memory or time has lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.candidates import Candidate
from harness.record import Record, Status
from harness.search import Search, given
from harness.spec import Spec

RERUN: tuple[Status, ...] = ("lost", "cancelled")
"""Statuses that say nothing about a run's values; a rerun starts it anew by itself."""


class Outcome(NamedTuple):
    """What one trial came to."""

    status: Status
    metric: float | None = None
    """The headline metric on the validation rows, of the best epoch."""
    loss: float | None = None
    higher_is_better: bool = True
    seconds: float = 0.0
    message: str = ""

    @staticmethod
    def of(record: Record) -> Outcome:
        """Return what a record tells of its trial."""
        facts: Any = record.task_cards.get(record.spec.train, {}).get("metric", {})  # Any: JSON of a card
        best = next((one for one in record.validation if one.epoch == record.best_epoch), None)
        return Outcome(
            record.status,
            best.metrics.get(facts.get("name")) if best else None,
            best.validation_loss if best else None,
            bool(facts.get("higher_is_better", True)),
            sum(record.cost.seconds.values()),
            record.error.message if record.error else "",
        )

    def rank(self, select: Literal["validation", "loss"]) -> tuple[float, float] | None:
        """Return what the best trial has the largest of: metric, then smaller loss, or that first; none if it lost."""
        wanted = self.metric if select == "validation" else self.loss
        if self.status != "ok" or wanted is None:
            return None
        metric = float("-inf") if self.metric is None else self.metric if self.higher_is_better else -self.metric
        loss = float("-inf") if self.loss is None else -self.loss
        return (metric, loss) if select == "validation" else (loss, metric)


class Trial(NamedTuple):
    """One candidate at one rung, in one round."""

    number: int
    """Which candidate."""
    spec: Spec
    run_id: str
    """That of the spec, which takes a while to compute."""
    round: int = 0


class Stage(NamedTuple):
    """How far a search is."""

    trials: tuple[Trial, ...]
    """Those that were run or are to be run now, at the rung where the search is."""
    skipped: tuple[Trial, ...] = ()
    """Those at rungs that the method cannot meet."""
    missing: tuple[Trial, ...] = ()
    """Those of them that have not ended."""
    num_left: int = 0
    """Trials that are still to end, those of later rounds included."""
    winner: Trial | None = None
    problem: Literal["cancelled", "not_applicable"] | None = None
    """How the finals end without a run, where no trial gave values to choose."""


@dataclass(eq=False)
class Progress:
    """One search and what its trials came to so far."""

    search: Search
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _trials: dict[tuple[str, int, int], Trial] = field(default_factory=dict)

    def stage(self) -> Stage:
        """Return how far the search is, from the outcomes known."""
        stage, skipped = Stage(()), list[Trial]()
        for rung in self.search.rungs:
            skipped += stage.trials
            stage = self._at(rung)
            if stage.problem != "not_applicable":
                break
        return stage._replace(skipped=tuple(skipped))

    def _at(self, rung: Spec) -> Stage:
        alive: Sequence[int] = range(len(self.search.candidates))
        told: list[Trial] = []
        rounds = self.search.rounds(rung)
        ranked: list[Trial] = []
        for number, epochs in enumerate(rounds):
            now = [self._trial(rung, one, number, epochs) for one in alive]
            told += now
            missing = tuple(trial for trial in now if trial.run_id not in self.outcomes)
            if missing:
                later = sum(map(self.search.survivors, range(number + 1, len(rounds))))
                return Stage(tuple(told), missing=missing, num_left=len(missing) + later)
            ranked = self._ranked(now)
            if not ranked:
                refused = all(self.outcomes[trial.run_id].status == "not_applicable" for trial in now)
                return Stage(tuple(told), problem="not_applicable" if refused else "cancelled")
            alive = sorted(trial.number for trial in ranked[: self.search.survivors(number + 1)])
        return Stage(tuple(told), winner=ranked[0])

    def _trial(self, rung: Spec, number: int, place: int, epochs: int | None) -> Trial:
        key = (str(rung.budget), number, place)
        if key not in self._trials:
            spec = self.search.trial(rung, self.search.candidates[number], epochs)
            self._trials[key] = Trial(number, spec, spec.run_id, place)
        return self._trials[key]

    def _ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that can be chosen, the best first; of equal ones the one that stands first."""
        ranks = [(self.outcomes[trial.run_id].rank(self.search.settings.select), trial) for trial in trials]
        usable = [(rank, trial) for rank, trial in ranks if rank is not None]
        return [trial for _, trial in sorted(usable, key=lambda pair: (pair[0], -pair[1].number), reverse=True)]

    def reason(self, final: Spec, stage: Stage) -> str:
        """Return why a final is not run."""
        if stage.problem == "not_applicable":
            own = next((rung for rung in self.search.rungs if rung.budget == final.budget), self.search.rungs[0])
            return self.outcomes[self._trial(own, 0, 0, self.search.rounds(own)[0]).run_id].message
        found = [self.outcomes[trial.run_id] for trial in stage.trials]
        counts = Counter(one.status for one in found)
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        if counts.keys() == {"ok"}:
            told += f", none with a validation {'metric' if self.search.settings.select == 'validation' else 'loss'}"
        first = next((f"; the first: {one.message}" for one in found if one.message), "")
        return f"no trial of its search gave values to choose ({told}){first}"

    def chosen(self, stage: Stage) -> Candidate | None:
        """Return the values of the winner, once there is one."""
        return self.search.candidates[stage.winner.number] if stage.winner else None

    def final(self, asked: Spec, stage: Stage) -> Spec | None:
        """Return a final with the values of the winner, once there is one."""
        chosen = self.chosen(stage)
        return None if chosen is None else given(asked, chosen)
