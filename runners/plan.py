"""The plan: what a suite still needs, run by run; the records in the folder are the only truth of what is done.

Finals that take their values from a search are not known before its trials have ended. The agenda finds runs as they
become known: from records when a suite is planned, and from what ends while it is run.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from harness import provenance, registry
from harness.backbone import BackboneFiles, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable, UserError
from harness.matrix import Expansion
from harness.record import Digests, Record, Status
from harness.spec import Spec
from harness.suite import BadSuite
from runners.attempt import close_without_worker, open_attempt, records
from runners.search import Outcome, Progress, Searches, Stage

State = Literal["done", "todo", "stale", "not_applicable"]
ON_REQUEST: tuple[Status, ...] = ("failed", "diverged", "out_of_memory", "timed_out")
ONE_SIZE = "takes no budget, runs once"
NO_VALUES = "search"
"""The kind of the error of a final whose search chose nothing."""
HUB_SECONDS = 10.0
"""Seconds that the hub has to say that it knows a dataset."""


@dataclass(frozen=True)
class Planned:
    """One run of a suite: its state, why, and the record that says so."""

    spec: Spec
    state: State
    reason: str = ""
    record: Record | None = None
    provenance: str = ""
    """The provenance digest that a run would have now."""
    waits: bool = False
    """Whether its values are not known yet; the spec then has the suite's, and nobody may run it."""

    @property
    def run_id(self) -> str | None:
        """The run id; unknown while the values are."""
        return None if self.waits else self.spec.run_id


@dataclass(frozen=True)
class Plan:
    """Every run of a suite with its state, and the input records that could not be read."""

    suite: str
    runs: tuple[Planned, ...]
    """Those whose values are known."""
    agenda: Agenda
    """Takes what ends while the plan is carried out, and says what has become ready."""
    unreadable: tuple[str, ...] = ()
    waiting: tuple[Planned, ...] = ()
    """Those that a search will give values to."""

    def counts(self) -> dict[str, int]:
        """Return the number of runs per state."""
        found = Counter(run.state for run in (*self.runs, *self.waiting))
        return {state: found.get(state, 0) for state in ("done", "todo", "stale", "not_applicable")}

    def ok(self) -> bool:
        """Return whether every applicable final is done and ok; a trial may fail, for its search goes on without it."""
        return not self.waiting and all(
            run.state == "not_applicable"
            or (run.state == "done" and run.record is not None and run.record.status == "ok")
            for run in self.runs
            if run.spec.purpose == "final"
        )


def plan(expansion: Expansion, out: Path, source: DataSource, retry: Collection[str] = ()) -> Plan:
    """Return what a suite still needs, without doing any of it.

    Raises:
        MissingPrerequisite: if weights or data of any run cannot be had.
        ValueError: for values that a method refuses.
    """
    files = {reference: _located(reference) for reference in {spec.backbone for spec in expansion.specs}}
    _check_data(expansion.specs, source)
    agenda = Agenda(expansion, out, source, files, retry)
    _check_hub([run.spec for run in agenda.todo()], source)
    agenda.look_at_shapes()
    return agenda.plan()


@dataclass
class Agenda:
    """The runs of a suite as they become known; for one thread at a time.

    It starts nothing: ``after`` takes the record of a run that ended for good and returns what is to be run in answer,
    and ``bill`` is what the record of a final says of its search.
    """

    expansion: Expansion
    out: Path
    source: DataSource
    files: dict[str, BackboneFiles]
    retry: Collection[str] = ()
    _runs: dict[str, Planned] = field(default_factory=dict)
    _unreadable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._searches = Searches(self.expansion)
        self._add(self._searches.first())

    def after(self, record: Record) -> list[Spec]:
        """Return what is to be run now that a run has ended for good: finals of a search, or its next round."""
        known = set(self._runs)
        self._add(self._searches.after(record))
        return [run.spec for run in self.todo() if run.spec.run_id not in known]

    def bill(self, spec: Spec) -> dict[str, JsonValue] | None:
        """Return the bill of the search that chose a final's values; none for a run without a search."""
        return self._searches.bill(spec)

    def todo(self) -> list[Planned]:
        """Return the known runs that are to be run."""
        return [run for run in self._runs.values() if run.state in ("todo", "stale")]

    def look_at_shapes(self) -> None:
        """Find runs that make no sense before they are run; a search then goes on to its next budget."""
        seen: set[str] = set()
        while new := [run for run in self.todo() if run.spec.run_id not in seen]:
            for run in new:
                seen.add(run.spec.run_id)
                found = self._runs[run.spec.run_id] = _from_shapes(run, self.files[run.spec.backbone])
                if found.state == "not_applicable":
                    outcome = Outcome("not_applicable", message=found.reason)
                    self._add(self._searches.ended(run.spec.run_id, outcome))

    def close(self, suite: str | None) -> None:
        """Write the records of runs that need no worker: what makes no sense, and finals without values."""
        for run in self.plan().runs:
            if run.record is not None or run.state not in ("done", "not_applicable"):
                continue
            attempt = open_attempt(self.out, run.spec, suite)
            one = self._searches.of(run.spec)
            bill = self.bill(run.spec) or (one.bill(one.stage()) if one else None)
            told: tuple[Status, str] = ("not_applicable", "NotApplicable")
            if run.state == "done":
                told = ("cancelled", NO_VALUES)
            record = close_without_worker(attempt, *told, run.reason, Digests(provenance=run.provenance), bill)
            if run.spec.run_id in self._runs:
                self._runs[run.spec.run_id] = replace(run, record=record)

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
        return self._runs.get(spec.run_id)

    def _add(self, specs: Iterable[Spec]) -> None:
        """Take runs that have become known, and all that follows from their records."""
        waiting = deque(specs)
        while waiting:
            spec = waiting.popleft()
            found, problems = records(self.out, spec.run_id)
            self._unreadable += problems
            run = _from_records(spec, found, self.source, self.files[spec.backbone], self.retry)
            self._runs[spec.run_id] = run
            if run.state in ("done", "not_applicable") and run.record is not None:
                waiting.extend(self._searches.after(run.record))

    def _listed(self) -> Iterator[Planned]:
        told: set[str] = set()
        for asked in self.expansion.specs:
            one = self._searches.of(asked)
            if one is None:
                yield self._runs[asked.run_id]
                continue
            stage = one.stage()
            if one.search.id not in told:
                told.add(one.search.id)
                yield from self._trials(one, stage)
            yield self._final(one, stage, asked)

    def _trials(self, one: Progress, stage: Stage) -> Iterator[Planned]:
        for run_id in dict.fromkeys(trial.spec.run_id for trial in (*stage.skipped, *stage.trials)):
            yield self._runs[run_id]
        for _ in range(stage.num_left - len(stage.missing)):
            yield Planned(stage.trials[0].spec, "todo", f"after {_trials(len(stage.missing))}", waits=True)

    def _final(self, one: Progress, stage: Stage, asked: Spec) -> Planned:
        chosen = one.final(asked, stage)
        if chosen is not None:
            run = self._runs[chosen.run_id]
            return _noted(run, *one.doubts(stage))
        if stage.problem is None:
            left = f"after {_trials(stage.num_left)}"
            return _noted(Planned(asked, "todo", left, waits=True), *one.doubts(stage))
        return self._without_values(one, stage, asked)

    def _without_values(self, one: Progress, stage: Stage, asked: Spec) -> Planned:
        """Return a final that is not run, with the record that says so where it was written."""
        reason = one.reason(asked, stage)
        status = stage.problem
        found, _ = records(self.out, asked.run_id)
        told = [r for r in found[-1:] if r.status == status and r.error and r.error.message == reason]
        expected = provenance.expected(asked, self.source, self.files[asked.backbone])
        state: State = "not_applicable" if status == "not_applicable" else "done"
        return Planned(asked, state, reason, told[0] if told else None, expected)


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count > 1 else ''}"


def _noted(run: Planned, *notes: str) -> Planned:
    return replace(run, reason="; ".join(filter(None, (run.reason, *notes))))


def _from_records(
    spec: Spec, found: Sequence[Record], source: DataSource, files: BackboneFiles, retry: Collection[str]
) -> Planned:
    expected = provenance.expected(spec, source, files)
    if not found:
        return Planned(spec, "todo", "never run", None, expected)
    ok, newest = [record for record in found if record.status == "ok"], found[-1]
    fresh = [record for record in ok if record.digests.provenance == expected]
    if fresh:
        return Planned(spec, "done", "", fresh[-1], expected)
    current = newest.digests.provenance == expected
    if newest.status == "not_applicable" and current and newest.error:
        return Planned(spec, "not_applicable", newest.error.message, newest, expected)
    # An older ok result that is stale does not excuse today's code: what it did last is what a rerun would meet again.
    if newest.status in ON_REQUEST and newest.status not in retry and (current or not ok):
        return Planned(spec, "done", f"{newest.status}; try it again with --retry {newest.status}", newest, expected)
    if ok:
        return Planned(spec, "stale", stale_reason(ok[-1], spec, source, files), ok[-1], expected)
    return Planned(spec, "todo", f"newest attempt is {newest.status}", newest, expected)


def stale_reason(record: Record, spec: Spec, source: DataSource, files: BackboneFiles) -> str:
    """Say which part of a record's provenance is not what it would be now."""
    parts = {
        "code or card version": (record.digests.code, provenance.code_digest(spec)),
        "data": (record.digests.data, provenance.data_digests(spec, source)),
        "weights": (record.digests.weights, files.digest),
    }
    changed = [name for name, (then, now) in parts.items() if then != now]
    return f"{' and '.join(changed) or 'provenance'} changed since attempt {record.attempt}"


def _is_one_size(planned: Planned) -> bool:
    return planned.spec.budget is None and not registry.find("method", planned.spec.method).card.get("budget")


def _located(reference: str) -> BackboneFiles:
    try:
        return locate(reference)
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, UserError):
            raise
        raise MissingPrerequisite(
            f"the backbone {reference} cannot be read: its config.json or weights are damaged ({error!r}); "
            f"fetch it again"
        ) from error


def _from_shapes(planned: Planned, files: BackboneFiles) -> Planned:
    from runners.prepare import applicable

    try:
        applicable(planned.spec, files)
    except NotApplicable as reason:
        return replace(planned, state="not_applicable", reason=str(reason), record=None)
    except MissingPrerequisite:
        raise
    except ValueError as error:
        raise BadSuite(f"method {planned.spec.method!r}: {error}") from error
    except Exception:  # a broken method must not keep the others from running; its own runs find out and record it
        return planned
    return planned


def _check_data(specs: Sequence[Spec], source: DataSource) -> None:
    for name, split in dict.fromkeys(read for spec in specs for read in provenance.splits_read(spec)):
        source.check(registry.load_task(name), split)


def _check_hub(specs: Sequence[Spec], source: DataSource) -> None:
    """Ask the hub for the datasets that nothing local holds, once each: a matrix must not find out run by run.

    Raises:
        MissingPrerequisite: naming the dataset, what was tried, and the fix.
    """
    names = {name for spec in specs for name in (spec.train, *spec.score)}
    hubs = {hub: name for name in sorted(names) if (hub := registry.load_task(name).card.source.hub)}
    if source.mirror or not hubs:
        return
    from huggingface_hub import HfApi, constants

    for hub, name in hubs.items():
        if Path(constants.HF_HUB_CACHE, f"datasets--{hub.replace('/', '--')}").is_dir():
            continue
        try:
            HfApi().dataset_info(hub, timeout=HUB_SECONDS)
        except Exception as error:  # the client raises its own, the network library's, and plain ones
            raise MissingPrerequisite(
                f"{name} needs the dataset {hub}: there is no mirror, it is not in the hub's local cache, and "
                f"the hub gave {type(error).__name__}; give --mirror DIR or PARETUNE_MIRROR=DIR, or run where there is "
                f"a network"
            ) from error
