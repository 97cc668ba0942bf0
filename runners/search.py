"""Searches in progress: which trials are still to run, what they chose, and the bill. Nothing here runs or reads.

How far a search is follows from what its trials came to and from nothing else, so the order in which they end does not
matter, and a finished search is made again from its records. A trial that was lost or cancelled says nothing about its
values: the search waits until it was run again. One that failed, diverged, ran out of memory or time has lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue

from harness.matrix import Expansion
from harness.record import Record, Status
from harness.search import Candidate, Search, given
from harness.spec import Spec

RERUN: tuple[Status, ...] = ("lost", "cancelled")
"""Statuses that say nothing about a run's values; a rerun starts it anew by itself."""
REPORTED = "the reported split"


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

    def bill(self, stage: Stage) -> dict[str, JsonValue]:
        """Return what the search cost and chose, as the record of each of its finals holds it."""
        settings, chosen = self.search.settings, self.chosen(stage)
        ended = {trial.run_id: self.outcomes.get(trial.run_id) for trial in stage.trials}
        return {
            "search": self.search.id,
            "over": list(self.search.candidates[0]),
            "sampler": "grid" if settings.grid else settings.sampler,
            "seed": None if settings.grid else settings.seed,
            "select": settings.select,
            "selected_on": REPORTED if stage.trials[0].spec.policy == "as_published" else "validation",
            "share": settings.share,
            "budget": str(stage.trials[0].spec.budget) if stage.trials[0].spec.budget else None,
            "halving": settings.halving,
            "num_trials": len(stage.trials),
            "num_epochs": sum(trial.spec.training.epochs for trial in stage.trials),
            "statuses": dict(sorted(Counter(one.status for one in ended.values() if one).items())),
            "seconds": round(sum(one.seconds for one in ended.values() if one), 3),
            "trials": [self._entry(trial, stage) for trial in stage.trials],
            "chosen": chosen,
            "edges": list(self._edges(chosen or {})),
            "unequal": self.search.unequal or None,
        }

    def describe(self, trial: Trial) -> str:
        """Return a trial in a few words."""
        epochs = trial.spec.training.epochs
        cut = f", {epochs} epoch{'s' if epochs > 1 else ''}" if self.search.settings.halving else ""
        values = in_words(self.search.candidates[trial.number])
        return f"trial {trial.number + 1} of {len(self.search.candidates)}: {values}{cut}"

    def doubts(self, stage: Stage) -> list[str]:
        """Return what a reader of the finals must know of how their values were chosen."""
        reported = stage.trials[0].spec.policy == "as_published"
        return [
            *filter(None, [self.search.unequal]),
            *self._edges(self.chosen(stage) or {}),
            *([f"chosen on {REPORTED}"] if reported else []),
        ]

    def _entry(self, trial: Trial, stage: Stage) -> dict[str, JsonValue]:
        outcome = self.outcomes.get(trial.run_id)
        entry: dict[str, JsonValue] = {
            "run_id": trial.run_id,
            "values": self.search.candidates[trial.number],
            "status": outcome.status if outcome else None,
            "metric": outcome.metric if outcome else None,
            "loss": outcome.loss if outcome else None,
        }
        if self.search.settings.halving:
            entry["epochs"] = trial.spec.training.epochs
            following = {one.number for one in stage.trials if one.round == trial.round + 1}
            cut = bool(following) and trial.number not in following
            entry["ended_by"] = "halving" if cut and outcome and outcome.status == "ok" else None
        return entry

    def _edges(self, chosen: Candidate) -> Iterator[str]:
        """Yield the chosen values that are the smallest or the largest tried: better ones may lie beyond."""
        for name, value in chosen.items():
            tried = {float(one) for c in self.search.candidates if isinstance(one := c[name], int | float)}
            if isinstance(value, int | float) and len(tried) > 1 and value in (min(tried), max(tried)):
                yield f"{name} {value:g} is the {'smallest' if value == min(tried) else 'largest'} tried"


class Searches:
    """Every search of a suite, from its first trials to its finals; for one thread at a time."""

    def __init__(self, expansion: Expansion) -> None:
        self._outcomes: dict[str, Outcome] = {}
        waiting = expansion.waiting()
        self._alone = [spec for spec in expansion.specs if spec.run_id not in waiting]
        self._all = [Progress(search, self._outcomes) for search in expansion.searches]
        self._of_final = {spec.run_id: one for one in self._all for spec in one.search.finals}
        self._of_trial: dict[str, list[Progress]] = {}
        self._bills: dict[str, Progress] = {}
        self._given_out: set[str] = set()

    def __iter__(self) -> Iterator[Progress]:
        return iter(self._all)

    def first(self) -> list[Spec]:
        """Return what waits for nothing: finals without a search, and the first trials of every search."""
        return [*self._alone, *(spec for one in self._all for spec in self._ready(one))]

    def after(self, record: Record) -> list[Spec]:
        """Take a run that ended for good; return what has become ready by it, in no case anything twice."""
        return self.ended(record.run_id, Outcome.of(record))

    def ended(self, run_id: str, outcome: Outcome) -> list[Spec]:
        """Take what a run came to; see ``after``."""
        if run_id not in self._of_trial or outcome.status in RERUN:
            return []
        self._outcomes[run_id] = outcome
        return [spec for one in self._of_trial[run_id] for spec in self._ready(one)]

    def of(self, asked: Spec) -> Progress | None:
        """Return the search that a final waits for, which the suite asks with values of its own."""
        return self._of_final.get(asked.run_id)

    def bill(self, spec: Spec) -> dict[str, JsonValue] | None:
        """Return the bill of the search that chose the values of a final; none for a run without a search."""
        one = self._bills.get(spec.run_id)
        return one.bill(one.stage()) if one else None

    def _ready(self, one: Progress) -> list[Spec]:
        stage = one.stage()
        for trial in stage.missing:
            searches = self._of_trial.setdefault(trial.run_id, [])
            if one not in searches:
                searches.append(one)
        found = {trial.run_id: trial.spec for trial in stage.missing}
        if stage.winner:
            finals = {final.run_id: final for asked in one.search.finals if (final := one.final(asked, stage))}
            self._bills |= dict.fromkeys(finals, one)
            found |= finals
        new = {run_id: spec for run_id, spec in found.items() if run_id not in self._given_out}
        self._given_out |= new.keys()
        return list(new.values())


def in_words(values: Candidate) -> str:
    """Return values as a person reads them."""
    shown = (f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(shown)
