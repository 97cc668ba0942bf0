"""The agenda: the runs of a suite as they become known.

Finals that take their values from a search are not known before its trials have ended. The agenda finds them: from
records when a suite is planned, and from what ends while it is carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.matrix import Expansion
from harness.provenance import Today
from harness.record import Digests, Record, Status, run_id
from harness.spec import Spec
from harness.suite import BadSuite
from runners import absent as absence
from runners.absent import Absent
from runners.attempt import close_without_worker, open_attempt, records
from runners.plan import Plan, Planned, State, check_hub, from_records, from_shapes
from runners.search import Searches, bill, describe, doubts, in_words
from runners.trials import Outcome, Progress, Stage

ONE_SIZE = "takes no budget, runs once"
NO_VALUES = "search"
"""The kind of the error of a final that is not run since no trial gave values to choose."""


def plan(
    expansion: Expansion, out: Path, source: DataSource, retry: Collection[str] = (), *, look: bool = False
) -> Plan:
    """Return what a suite still needs, without doing any of it.

    Args:
        expansion: the suite.
        out: the folder of its runs.
        source: where rows come from.
        retry: statuses whose runs are tried again.
        look: whether it is only to be looked at: what cannot be had is then said in ``Plan.missing``.

    Raises:
        MissingPrerequisite: if weights or data of any run cannot be had.
        ValueError: for values that a method refuses.
    """
    absent = (absence.look if look else absence.require)(expansion.specs, source)
    agenda = Agenda(expansion, out, source, absent, retry)
    for one, stage in agenda.searches():
        if stage.missing:
            _check_select(one)
    todo = [run.spec for run in agenda.todo()]
    if not look:
        check_hub(todo, source)
    agenda.look_at_shapes()
    return replace(agenda.plan(), missing=absent.on_hub(todo, source) if look else ())


class Closed(NamedTuple):
    """A run that ended without a worker."""

    record: Record
    folder: Path


@dataclass
class Agenda:
    """The runs of a suite as they become known; for one thread at a time.

    It starts nothing: ``after`` takes the record of a run that ended for good and returns what is to be run in answer,
    and ``bill`` is what the record of a final says of its search.
    """

    expansion: Expansion
    out: Path
    source: DataSource
    absent: Absent
    retry: Collection[str] = ()
    _runs: dict[str, Planned] = field(default_factory=dict)
    _unreadable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._today = Today(self.source, self.absent.files)
        self._searches = Searches(self.expansion)
        self._add(self._searches.first())

    def after(self, record: Record) -> list[Spec]:
        """Return what is to be run now that a run has ended for good: finals of a search, or its next round."""
        return [run.spec for run in self._add(self._searches.after(record)) if run.state in ("todo", "stale")]

    def bill(self, spec: Spec) -> dict[str, JsonValue] | None:
        """Return the bill of the search that chose a final's values; none for a run without a search."""
        return self._searches.bill(spec)

    def todo(self) -> list[Planned]:
        """Return the known runs that are to be run."""
        return [run for run in self._runs.values() if run.state in ("todo", "stale")]

    def look_at_shapes(self) -> None:
        """Find runs that make no sense before they are run; a search then goes on to its next budget."""
        seen: set[str] = set()
        while new := [run for run in self.todo() if run_id(run.spec) not in seen]:
            for run in new:
                seen.add(run_id(run.spec))
                found = self._runs[run_id(run.spec)] = from_shapes(
                    run, self.absent.files[run.spec.backbone], self._sharded()
                )
                if found.state == "not_applicable":
                    outcome = Outcome("not_applicable", message=found.reason)
                    self._add(self._searches.ended(run_id(run.spec), outcome))

    def close(self, suite: str | None) -> list[Closed]:
        """Write the records of runs that need no worker: what makes no sense, and finals without values.

        Returns:
            Those of finals without values, which the plan did not know.
        """
        for run in list(self._runs.values()):
            if run.state == "not_applicable" and run.record is None:
                record, _ = self._close(run, "not_applicable", suite, self.bill(run.spec))
                self._runs[run_id(run.spec)] = replace(run, record=record)
        closed: list[Closed] = []
        for one, stage in self.searches():
            for asked in one.search.finals if stage.problem else ():
                run = self._without_values(one, stage, asked)
                if run.record is None and stage.problem:
                    closed.append(self._close(run, stage.problem, suite, bill(one, stage)))
        return closed

    def _sharded(self) -> bool:
        return self.expansion.suite.resources.sharded

    def _close(self, run: Planned, status: Status, suite: str | None, search: dict[str, JsonValue] | None) -> Closed:
        attempt = open_attempt(self.out, run.spec, suite)
        kind, digests = NO_VALUES if status == "cancelled" else run.kind, Digests(provenance=run.provenance)
        return Closed(close_without_worker(attempt, status, kind, run.reason, digests, search), attempt.folder)

    def plan(self) -> Plan:
        """Return the runs as they are known now: each search's trials before its finals."""
        found = list(self._listed())
        if self.expansion.suite.budget:
            found = [_noted(run, ONE_SIZE) if _is_one_size(run) else run for run in found]
        known = tuple(run for run in found if not run.waits)
        waiting = tuple(run for run in found if run.waits)
        return Plan(self.expansion.suite.name, known, self, tuple(dict.fromkeys(self._unreadable)), waiting)

    def searches(self) -> Iterator[tuple[Progress, Stage]]:
        """Yield every search and how far it is."""
        for one in self._searches:
            yield one, one.stage()

    def run(self, spec: Spec) -> Planned | None:
        """Return a known run."""
        return self._runs.get(run_id(spec))

    def _add(self, specs: Iterable[Spec]) -> list[Planned]:
        """Take runs that have become known, and all that follows from their records; return them."""
        waiting, new = deque(specs), list[Planned]()
        while waiting:
            spec = waiting.popleft()
            name = run_id(spec)
            found, problems = records(self.out, name)
            self._unreadable += problems
            if lacking := self.absent.of(spec):
                run = self.absent.planned(spec, found, lacking)
            else:
                run = from_records(spec, found, self._today, self.retry, self._sharded())
            self._runs[name] = run
            new.append(run)
            if run.state in ("done", "not_applicable") and run.record is not None:
                waiting.extend(self._searches.after(run.record))
        return new

    def _listed(self) -> Iterator[Planned]:
        told: set[Progress] = set()
        for asked in self.expansion.specs:
            one = self._searches.of(asked)
            if one is None:
                yield self._runs[run_id(asked)]
                continue
            stage = one.stage()
            if one not in told:
                told.add(one)
                yield from self._trials(one, stage)
            yield self._final(one, stage, asked)

    def _trials(self, one: Progress, stage: Stage) -> Iterator[Planned]:
        trials = {trial.run_id: trial for trial in (*stage.skipped, *stage.trials)}
        for name, trial in trials.items():
            yield _noted(self._runs[name], describe(one, trial))
        for _ in range(stage.num_left - len(stage.missing)):
            yield Planned(stage.trials[0].spec, "todo", f"after {_trials(len(stage.missing))}", waits=True)

    def _final(self, one: Progress, stage: Stage, asked: Spec) -> Planned:
        final = one.final(asked, stage)
        if final is not None:
            taken = in_words(one.chosen(stage) or {})
            return _noted(self._runs[run_id(final)], f"takes {taken}", *doubts(one, stage))
        if stage.problem is None:
            left = f"after {_trials(stage.num_left)}"
            return _noted(Planned(asked, "todo", left, waits=True), *doubts(one, stage))
        return self._without_values(one, stage, asked)

    def _without_values(self, one: Progress, stage: Stage, asked: Spec) -> Planned:
        """Return a final that is not run, with the record that says so where it was written."""
        found, _ = records(self.out, run_id(asked))
        expected = "" if self.absent.of(asked) else self._today.digest(asked)
        # One that an interrupt cancelled has no digests, for it never began.
        told = [last for last in found[-1:] if (last.status, last.digests.provenance) == (stage.problem, expected)]
        state: State = "not_applicable" if stage.problem == "not_applicable" else "done"
        return Planned(asked, state, one.reason(asked, stage), told[0] if told else None, expected)


def _check_select(one: Progress) -> None:
    """Refuse a choice by a metric that the protocol is told not to compute."""
    from runners.prepare import protocol_of

    trial = one.search.rungs[0]
    if one.search.settings.select == "validation":
        try:
            protocol_of(trial.model_copy(update={"training": trial.training.model_copy(update={"select": "metric"})}))
        except MissingPrerequisite as error:
            raise BadSuite(f"search.select is validation, the metric; set it to loss, for {error}") from error


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count > 1 else ''}"


def _noted(run: Planned, *notes: str) -> Planned:
    return replace(run, reason="; ".join(filter(None, (run.reason, *notes))))


def _is_one_size(planned: Planned) -> bool:
    return planned.spec.budget is None and not registry.find("method", planned.spec.method).card.get("budget")
