"""The sweep: what a suite still needs, and running it; the records in the folder are the only truth of what is done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from filelock import FileLock, Timeout

from harness import provenance, registry
from harness.backbone import BackboneFiles, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable, UnwritableFolder, UserError
from harness.matrix import Expansion
from harness.record import Digests, Record, Status, run_id
from harness.spec import Spec
from harness.suite import BadSuite
from runners.attempt import (
    Attempt,
    attempts,
    close_without_worker,
    is_alive,
    is_here,
    open_attempt,
    owner,
    records,
    unfinished,
)
from runners.estimate import Speeds
from runners.executor import Executor, Observer, executor
from runners.process import Options
from runners.queue import Follow, Queue

State = Literal["done", "todo", "stale", "not_applicable"]
RERUN: tuple[Status, ...] = ("lost", "cancelled")
"""Statuses that a rerun starts anew by itself."""
ON_REQUEST: tuple[Status, ...] = ("failed", "diverged", "out_of_memory", "timed_out")
ONE_SIZE = "takes no budget, runs once"
HUB_SECONDS = 10.0
"""Seconds that the hub has to say that it knows a dataset."""
LOCK_WAIT = 5.0
"""Seconds to wait for a folder: workers of a scheduler that was just killed need a moment to notice."""


class Busy(UserError, RuntimeError):
    """Another scheduler works on the same folder."""


@dataclass(frozen=True)
class Planned:
    """One run of a suite: its state, why, and the record that says so."""

    spec: Spec
    state: State
    reason: str = ""
    record: Record | None = None
    provenance: str = ""
    """The provenance digest that a run would have now."""


@dataclass(frozen=True)
class Plan:
    """Every run of a suite with its state, and the input records that could not be read."""

    suite: str
    runs: tuple[Planned, ...]
    unreadable: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return the number of runs per state."""
        found = Counter(run.state for run in self.runs)
        return {state: found.get(state, 0) for state in ("done", "todo", "stale", "not_applicable")}

    def ok(self) -> bool:
        """Return whether every applicable run is done and ok."""
        return all(
            run.state == "not_applicable"
            or (run.state == "done" and run.record is not None and run.record.status == "ok")
            for run in self.runs
        )


def plan(expansion: Expansion, out: Path, source: DataSource, retry: Collection[str] = ()) -> Plan:
    """Return what a suite still needs, without doing any of it.

    Raises:
        MissingPrerequisite: if weights or data of any run cannot be had.
        ValueError: for values that a method refuses.
    """
    files = {reference: _located(reference) for reference in {spec.backbone for spec in expansion.specs}}
    _check_data(expansion.specs, source)
    runs, unreadable = [], []
    for spec in expansion.specs:
        found, problems = records(out, run_id(spec))
        unreadable += problems
        runs.append(_from_records(spec, found, source, files[spec.backbone], retry))
    _check_hub([run.spec for run in runs if run.state in ("todo", "stale")], source)
    runs = [_from_shapes(run, files[run.spec.backbone]) if run.state in ("todo", "stale") else run for run in runs]
    if expansion.suite.budget:
        runs = [
            replace(run, reason="; ".join(filter(None, (run.reason, ONE_SIZE)))) if _is_one_size(run) else run
            for run in runs
        ]
    return Plan(expansion.suite.name, tuple(runs), tuple(unreadable))


def run(planned: Plan, options: Options, observe: Observer, follow: Follow | None = None) -> bool:
    """Run what a plan calls todo or stale, and what a search adds to it.

    Returns:
        Whether an interrupt ended it early.
    """
    for one in planned.runs:
        if one.state == "not_applicable" and one.record is None:
            attempt = open_attempt(options.out, one.spec, options.suite)
            digests = Digests(provenance=one.provenance)
            close_without_worker(attempt, "not_applicable", "NotApplicable", one.reason, digests)
    specs = [one.spec for one in planned.runs if one.state in ("todo", "stale")]
    known = [one.record for one in planned.runs if one.record is not None]
    queue = Queue(specs, follow=follow, seconds=Speeds(known, options.device))
    with executor(options, observe, queue) as started, _interrupts(started) as interrupts:
        for doubt in started.doubts(specs):
            observe(None, {"type": "warning", "message": doubt})
        started.run()
    return bool(interrupts)


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Hold a folder of runs against other schedulers, and close the attempts that dead ones left.

    Raises:
        Busy: naming the scheduler that holds it.
        UnwritableFolder: if nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock, facts = FileLock(out / ".lock"), out / ".scheduler.json"
        lock.acquire(timeout=0)
        facts.write_text(json.dumps(owner().model_dump() | {"suite_folder": out.name}) + "\n", encoding="utf-8")
    except Timeout:
        raise Busy(f"{_holder(out)}; wait for it, stop it, or choose another --out") from None
    except OSError as error:
        raise UnwritableFolder(out, error) from error
    try:
        _close_abandoned(out)
        yield
    finally:
        facts.unlink(missing_ok=True)
        lock.release()


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


def _close_abandoned(out: Path) -> None:
    end = time.monotonic() + LOCK_WAIT
    while _close_lost(out) and time.monotonic() < end:
        time.sleep(0.1)  # workers of a scheduler that was just killed stop when they notice


def _close_lost(out: Path) -> bool:
    """Close attempts whose owner is gone; return whether workers of another scheduler still run."""
    running = False
    for attempt, started in unfinished(out):
        # A suite's attempt of another machine had a scheduler, and that no longer holds this folder: we do.
        if not is_alive(started.owner) or (started.suite is not None and not is_here(started.owner)):
            message = "the process that ran this attempt is gone and left no record"
            close_without_worker(attempt, "lost", "OwnerDied", message)
        elif started.suite is not None:  # else somebody runs a single spec here, and may go on for long
            running = True
    return running


def _holder(out: Path) -> str:
    try:
        facts: Mapping[str, Any] = json.loads((out / ".scheduler.json").read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} already runs a suite in {out}"
    except (OSError, ValueError, KeyError):
        return f"another process already runs a suite in {out}"


@contextmanager
def _interrupts(executor: Executor) -> Iterator[list[int]]:
    """Make the first Ctrl-C drain and the second stop; the list fills with what came."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield came
        return

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            executor.drain()
            executor.observe(None, {"type": "draining"})
        else:
            executor.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def superseded(out: Path) -> list[Attempt]:
    """Return lost and cancelled attempts of runs that have a newer ok one."""
    found: list[Attempt] = []
    for run_folder in sorted(path for path in out.iterdir() if path.is_dir()):
        known = records(out, run_folder.name)[0]
        newest_ok = max((record.attempt for record in known if record.status == "ok"), default=0)
        old = {record.attempt for record in known if record.status in RERUN and record.attempt < newest_ok}
        found += [attempt for attempt in attempts(out, run_folder.name) if attempt.number in old]
    return found


def remove(found: Sequence[Attempt]) -> None:
    """Remove attempts with everything in their folders."""
    for attempt in found:
        shutil.rmtree(attempt.folder)


def output_folder(suite: str, out: str | Path | None) -> Path:
    """Return where a suite's runs go: ``out/<suite>`` unless told."""
    return Path(out or os.path.join("out", suite)).expanduser().resolve()
