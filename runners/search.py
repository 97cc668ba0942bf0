"""Every search of a suite: what becomes ready when a run ends, and the bill that the records of finals hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import JsonValue

from harness.candidates import Candidate
from harness.matrix import Expansion
from harness.record import Record, run_id
from harness.spec import Spec
from runners.trials import RERUN, Outcome, Progress, Stage, Trial

REPORTED = "the reported split"


class Searches:
    """Every search of a suite, from its first trials to its finals; for one thread at a time."""

    def __init__(self, expansion: Expansion) -> None:
        self._outcomes: dict[str, Outcome] = {}
        waiting = expansion.waiting()
        self._alone = [spec for spec in expansion.specs if not waiting or run_id(spec) not in waiting]
        self._all = [Progress(search, self._outcomes) for search in expansion.searches]
        self._of_final = {run_id(spec): one for one in self._all for spec in one.search.finals}
        self._of_trial: dict[str, list[Progress]] = {}
        self._open: dict[Progress, set[str]] = {}
        """Search to its trials that were given out and have not ended; only the last of them makes anything ready."""
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
        ready: list[Spec] = []
        for one in self._of_trial[run_id]:
            self._open[one].discard(run_id)
            ready += self._ready(one) if not self._open[one] else []
        return ready

    def of(self, asked: Spec) -> Progress | None:
        """Return the search that a final waits for, which the suite asks with values of its own."""
        return self._of_final.get(run_id(asked)) if self._of_final else None

    def bill(self, spec: Spec) -> dict[str, JsonValue] | None:
        """Return the bill of the search that chose the values of a final; none for a run without a search."""
        one = self._bills.get(run_id(spec))
        return bill(one, one.stage()) if one else None

    def _ready(self, one: Progress) -> list[Spec]:
        stage = one.stage()
        for trial in stage.missing:
            searches = self._of_trial.setdefault(trial.run_id, [])
            if one not in searches:
                searches.append(one)
        found = {trial.run_id: trial.spec for trial in stage.missing}
        self._open[one] = set(found)
        if stage.winner:
            finals = {run_id(final): final for asked in one.search.finals if (final := one.final(asked, stage))}
            self._bills |= dict.fromkeys(finals, one)
            found |= finals
        new = {run_id: spec for run_id, spec in found.items() if run_id not in self._given_out}
        self._given_out |= new.keys()
        return list(new.values())


def bill(one: Progress, stage: Stage) -> dict[str, JsonValue]:
    """Return what the search cost and chose, as the record of each of its finals holds it."""
    settings, chosen = one.search.settings, one.chosen(stage)
    ended = {trial.run_id: one.outcomes.get(trial.run_id) for trial in stage.trials}
    return {
        "search": one.search.id,
        "over": list(one.search.candidates[0]),
        "sampler": "grid" if settings.grid else settings.sampler,
        "seed": None if settings.grid else settings.seed,
        "select": settings.select,
        "selected_on": REPORTED if stage.trials[0].spec.policy == "as_published" else "validation",
        "share": settings.share,
        "budget": str(stage.trials[0].spec.budget) if stage.trials[0].spec.budget else None,
        "halving": settings.halving,
        "num_trials": len(stage.trials),
        "num_epochs": sum(trial.spec.training.epochs for trial in stage.trials),
        "statuses": dict(sorted(Counter(end.status for end in ended.values() if end).items())),
        "seconds": round(sum(end.seconds for end in ended.values() if end), 3),
        "trials": [_entry(one, trial, stage) for trial in stage.trials],
        "chosen": chosen,
        "edges": list(_edges(one, chosen or {})),
        "unequal": one.search.unequal or None,
    }


def describe(one: Progress, trial: Trial) -> str:
    """Return a trial in a few words."""
    epochs = trial.spec.training.epochs
    cut = f", {epochs} epoch{'s' if epochs > 1 else ''}" if one.search.settings.halving else ""
    values = in_words(one.search.candidates[trial.number])
    return f"trial {trial.number + 1} of {len(one.search.candidates)}: {values}{cut}"


def doubts(one: Progress, stage: Stage) -> list[str]:
    """Return what a reader of the finals must know of how their values were chosen."""
    reported = stage.trials[0].spec.policy == "as_published"
    return [
        *filter(None, [one.search.unequal]),
        *_edges(one, one.chosen(stage) or {}),
        *([f"chosen on {REPORTED}"] if reported else []),
    ]


def in_words(values: Candidate) -> str:
    """Return values as a person reads them."""
    shown = (f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(shown)


def _entry(one: Progress, trial: Trial, stage: Stage) -> dict[str, JsonValue]:
    outcome = one.outcomes.get(trial.run_id)
    entry: dict[str, JsonValue] = {
        "run_id": trial.run_id,
        "values": one.search.candidates[trial.number],
        "status": outcome.status if outcome else None,
        "metric": outcome.metric if outcome else None,
        "loss": outcome.loss if outcome else None,
    }
    if one.search.settings.halving:
        entry["epochs"] = trial.spec.training.epochs
        following = {other.number for other in stage.trials if other.round == trial.round + 1}
        cut = bool(following) and trial.number not in following
        entry["ended_by"] = "halving" if cut and outcome and outcome.status == "ok" else None
    return entry


def _edges(one: Progress, chosen: Candidate) -> Iterator[str]:
    """Yield the chosen values that are the smallest or the largest tried: better ones may lie beyond."""
    for name, value in chosen.items():
        tried = {float(rate) for c in one.search.candidates if isinstance(rate := c[name], int | float)}
        if isinstance(value, int | float) and len(tried) > 1 and value in (min(tried), max(tried)):
            yield f"{name} {value:g} is the {'smallest' if value == min(tried) else 'largest'} tried"
