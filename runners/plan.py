"""The plan: what a suite still needs, run by run; the records in the folder are the only truth of what is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness import provenance, registry
from harness.backbone import BackboneFiles, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable, NotSharded, UserError
from harness.provenance import Today
from harness.record import Record, Status, run_id
from harness.spec import Spec
from harness.suite import BadSuite

if TYPE_CHECKING:
    from runners.agenda import Agenda

State = Literal["done", "todo", "stale", "not_applicable"]
ON_REQUEST: tuple[Status, ...] = ("failed", "diverged", "out_of_memory", "timed_out")
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
    kind: str = "NotApplicable"
    """The kind of the error in the record of a run that makes no sense."""
    waits: bool = False
    """Whether its values are not known yet; the spec then has the suite's, and nobody may run it."""
    counted: int | None = None
    """Trained scalars outside the head, where shapes were asked."""

    @property
    def run_id(self) -> str | None:
        """The run id; unknown while the values are."""
        return None if self.waits else run_id(self.spec)

    @property
    def trained(self) -> int | None:
        """The trained scalars outside the head, by the record or by shapes; unknown where neither was looked at."""
        counts = self.record.counts if self.record else None
        return counts.trained if counts else self.counted


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
    missing: tuple[str, ...] = ()
    """Weights and data without which nothing can be run here; what came, and what to do, one message each."""

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


def from_records(
    spec: Spec, found: Sequence[Record], today: Today, retry: Collection[str], sharded: bool = False
) -> Planned:
    """Return what the attempts at a run, oldest first, say of it; what cannot be done sharded stands only there."""
    expected = today.digest(spec)
    if not found:
        return Planned(spec, "todo", "never run", None, expected)
    ok, newest = [record for record in found if record.status == "ok"], found[-1]
    fresh = [record for record in ok if record.digests.provenance == expected]
    if fresh:
        return Planned(spec, "done", "", fresh[-1], expected)
    current = newest.digests.provenance == expected
    stands = newest.error and (sharded or newest.error.kind != NotSharded.__name__)
    if newest.status == "not_applicable" and current and newest.error and stands:
        return Planned(spec, "not_applicable", newest.error.message, newest, expected)
    # An older ok result that is stale does not excuse today's code: what it did last is what a rerun would meet again.
    if newest.status in ON_REQUEST and newest.status not in retry and (current or not ok):
        return Planned(spec, "done", f"{newest.status}; try it again with --retry {newest.status}", newest, expected)
    if ok:
        return Planned(spec, "stale", stale_reason(ok[-1], today), ok[-1], expected)
    return Planned(spec, "todo", f"newest attempt is {newest.status}", newest, expected)


def stale_reason(record: Record, today: Today) -> str:
    """Say which part of a record's provenance is not what it would be now."""
    now = today.made(record.spec)
    parts = {
        "code or card version": (record.digests.code, now.code),
        "data": (record.digests.data, now.data),
        "weights": (record.digests.weights, now.weights),
    }
    changed = [name for name, (then, due) in parts.items() if then != due]
    return f"{' and '.join(changed) or 'provenance'} changed since attempt {record.attempt}"


def located(reference: str) -> BackboneFiles:
    """Return the files of a backbone.

    Raises:
        MissingPrerequisite: if it cannot be read.
    """
    try:
        return locate(reference)
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, UserError):
            raise
        raise MissingPrerequisite(
            f"the backbone {reference} cannot be read: its config.json or weights are damaged ({error!r}); "
            f"fetch it again"
        ) from error


def from_shapes(planned: Planned, files: BackboneFiles, sharded: bool = False) -> Planned:
    """Return a run as it is once the shapes of its backbone, and its method, were asked whether it makes sense.

    Raises:
        BadSuite: for values that its method refuses.
    """
    from runners.counts import trained
    from runners.prepare import applicable

    try:
        applicable(planned.spec, files)
        if sharded:
            from runners.shards import check

            check(registry.load_method(planned.spec.method))
        return replace(planned, counted=trained(planned.spec, files))
    except NotApplicable as reason:
        kind = type(reason).__name__
        return replace(planned, state="not_applicable", reason=str(reason), record=None, kind=kind)
    except MissingPrerequisite:
        raise
    except ValueError as error:
        raise BadSuite(f"method {planned.spec.method!r}: {error}") from error
    except Exception:  # a broken method must not keep the others from running; its own runs find out and record it
        return planned


def check_data(specs: Sequence[Spec], source: DataSource) -> None:
    """Find out that the rows of every run are here, or can be had.

    Raises:
        MissingPrerequisite: naming what is missing.
    """
    for name, split in dict.fromkeys(read for spec in specs for read in provenance.splits_read(spec)):
        source.check(registry.load_task(name), split)


def check_hub(specs: Sequence[Spec], source: DataSource) -> None:
    """Ask the hub for the datasets that nothing local holds, once each: a matrix must not find out run by run.

    Raises:
        MissingPrerequisite: naming the dataset, what was tried, and the fix.
    """
    for message in lacking_on_hub(specs, source):
        raise MissingPrerequisite(message)


def lacking_on_hub(specs: Sequence[Spec], source: DataSource) -> Iterator[str]:
    """Yield what is wrong with each dataset that neither the hub's local cache nor the hub gives."""
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
            yield (
                f"{name} needs the dataset {hub}: there is no mirror, it is not in the hub's local cache, and "
                f"the hub gave {type(error).__name__}; give --mirror DIR or PARETUNE_MIRROR=DIR, or run where there is "
                f"a network"
            )
