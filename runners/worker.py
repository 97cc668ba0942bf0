"""A worker: a warm process that executes specs one after another.

It reads one JSON job a line from standard input and writes one JSON event a line to standard output, under every
executor alike. While a spec runs, whatever the process prints goes to the attempt's log, secrets masked. A closed
pipe means that the scheduler is gone: the worker then stops at once, and its attempt is found to be lost.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from pydantic import JsonValue

# Nothing that loads a numerical library: the thread count must be set before.
from harness.digest import file_digest
from harness.environment import describe, limit_threads, redact
from harness.errors import Diverged, MissingPrerequisite, NotApplicable
from harness.record import EXTRA_FOLDER, ITEMS_FILE, RECORD_FILE, Record, Status, write_once
from harness.registry import check_packages
from harness.spec import Spec
from runners.attempt import (
    DISK_FULL,
    Attempt,
    attempts,
    cards,
    discard_results,
    disk_is_full,
    failure,
    now,
    open_attempt,
)
from runners.log import Log
from runners.queue import Job

HEALTHY: tuple[Status, ...] = ("diverged", "not_applicable", "out_of_memory")
"""Statuses besides ok after which the process can be trusted; what else a method did before it failed is not known."""


def run_one(
    spec: Spec,
    out: Path,
    warm: Any,
    suite: str | None,
    keep: str,
    report: Any,
    checkpoint_minutes: float | None = None,
    search: dict[str, JsonValue] | None = None,
    facts: Mapping[str, JsonValue] | None = None,
    peers: Any = None,
) -> tuple[Record, Path, bool]:
    """Execute one spec in a new attempt and write its record, whatever happens.

    Args:
        spec: what to run.
        out: the folder of runs.
        warm: the worker's ``runners.warm.Warm`` (Any: importing it here would load torch before
            the thread count is set).
        suite: the suite that asked.
        keep: ``none``, ``final`` or ``all``.
        report: called with events (Any: see ``runners.fit.Report``).
        checkpoint_minutes: time between savepoints, from which the next attempt goes on if this one is killed; none
            writes none.
        search: the bill of the search that chose the values.
        facts: further facts of the environment that the worker was started in.
        peers: the ``runners.peers.Peers`` that train with this process; none where it trains alone (Any: as ``warm``).

    Returns:
        The record, its attempt's folder, and whether the worker can go on.

    Raises:
        KeyboardInterrupt: after the record, if that is what ended the attempt.
        OSError: if not even a record can be written.
    """
    from runners.execute import Outcome, execute
    from runners.lenient import LenientSavepoints

    attempt = open_attempt(out, spec, suite)
    run = _Run(attempt, spec, suite, now(), warm.device, search, facts or {})
    report({"type": "started", "run_id": spec.run_id, "attempt": attempt.number})
    outcome, error = Outcome(), None
    earlier = tuple(one.folder for one in attempts(out, spec.run_id) if one.number < attempt.number)
    savepoints = LenientSavepoints(attempt.folder, checkpoint_minutes, earlier)
    with Log(attempt.folder) as log:
        try:
            if peers:
                peers.send(spec)
            execute(spec, warm, outcome, keep, report, savepoints, peers and peers.ranks)
        except BaseException as problem:  # the worker is where any exception becomes a record, a method's exit too
            error = problem
            if not isinstance(problem, NotApplicable):
                log.add(traceback.format_exc())
    outcome.notes += (savepoints.problem,) if savepoints.problem else ()
    if error is not None and peers and peers.killed():
        _leave()  # as if this process had been killed itself: the attempt is lost, and started again
    try:
        record = run.close(outcome, error)
    except Exception as problem:  # a full disk, or a method's numbers that no record can hold
        record = run.close(Outcome(digests=outcome.digests), problem)  # a full disk may have room for this
    if isinstance(error, KeyboardInterrupt):
        raise error
    if record.status != "lost":  # what found no room is taken up again where it was
        savepoints.remove()
    # Data or weights that are missing are found before a method touches anything.
    harmless = record.status in HEALTHY or isinstance(error, MissingPrerequisite)
    if peers and record.status == "out_of_memory":  # they may wait for gradients that this process does not have
        harmless = False
    healthy = outcome.reusable if record.status == "ok" else harmless
    return record, attempt.folder, healthy


def main() -> NoReturn:
    """Serve a scheduler until it closes standard input."""
    check_packages()
    options = _arguments()
    limit_threads(options.threads)
    events, jobs = _take_pipes()

    def report(event: Mapping[str, Any]) -> None:
        try:
            events.write(json.dumps(event) + "\n")
            events.flush()
        except OSError:  # must not become the record of the run that reports
            _leave()

    from harness.data import DataSource

    source = DataSource.of(options.mirror)
    gc.disable()  # it would walk over the libraries' objects a thousand times as they load: a fifth of what that takes
    import torch

    from runners.loading import UNUSED, without
    from runners.peers import Peers, device_of, home_of
    from runners.warm import Warm
    from tasks.metrics.module import prepare as prepare_scoring

    with suppress(Exception), without(UNUSED):  # what a library raises as it loads, a run says in its record
        prepare_scoring()
    gc.freeze()  # and over all of them in every run
    gc.enable()
    torch.set_num_threads(options.threads)
    together, sharded = options.ranks > 1, options.sharded
    peers = Peers(options.ranks, options.device, options.threads, options.mirror, sharded) if together else None
    warm = Warm(source, device_of(options.device, 0) if together else options.device, home_of(sharded))
    # Figures of cost are of this run alone only where it had its device for itself.
    facts = {"runs_per_device": options.runs_per_device} if options.runs_per_device > 1 else {}
    facts |= {"ranks": options.ranks} if together else {}
    facts |= {"sharded": True} if sharded else {}
    report({"type": "ready"})
    while True:
        job = Job.parse(jobs.get())
        record, folder, healthy = run_one(
            job.spec,
            Path(options.out),
            warm,
            options.suite,
            options.keep,
            report,
            options.checkpoint_minutes,
            job.search,
            facts,
            peers,
        )
        message = record.error.message if record.error else None
        report(
            {"type": "ended", "status": record.status, "folder": str(folder), "healthy": healthy, "message": message}
        )
        if not healthy:
            _leave()


def _take_pipes() -> tuple[IO[str], queue.Queue[str]]:
    """Return where events go and where jobs come from, out of reach of what a method prints or reads."""
    events, stream = os.fdopen(os.dup(1), "w", encoding="utf-8"), os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for printed in (sys.stdout, sys.stderr):
        printed.reconfigure(line_buffering=True, errors="replace")  # type: ignore[union-attr]  # a killed run's last lines
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(stream, jobs), daemon=True).start()
    return events, jobs


def _listen(stream: IO[str], jobs: queue.Queue[str]) -> None:
    for line in stream:
        jobs.put(line)
    _leave()  # the scheduler is gone; an orphan must not go on writing


def _leave() -> NoReturn:
    """End this process at once, and with it what a method started: its own group, where it has one."""
    if os.getpgrp() == os.getpid():
        with suppress(OSError):
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(3)


@dataclass(frozen=True)
class _Run:
    """What is known of an attempt before it is executed."""

    attempt: Attempt
    spec: Spec
    suite: str | None
    started: str
    device: str
    search: dict[str, JsonValue] | None
    facts: Mapping[str, JsonValue]

    def close(self, outcome: Any, error: BaseException | None) -> Record:  # Any: see run_one
        """Write the attempt's results and, last, its record."""
        folder, digests = self.attempt.folder, outcome.digests
        discard_results(folder)
        if outcome.items is not None and error is None:
            digests = digests.model_copy(update={"items": _write_items(folder, outcome.items)})
        if outcome.files and error is None:
            (folder / EXTRA_FOLDER).mkdir()
            for name, text in outcome.files.items():
                (folder / EXTRA_FOLDER / name).write_text(text, encoding="utf-8")
        if outcome.state and error is None:
            from runners import checkpoint

            checkpoint.save(folder, outcome.facts, outcome.state)
        record = Record(
            run_id=self.spec.run_id,
            attempt=self.attempt.number,
            suite=self.suite,
            spec=self.spec,
            **cards(self.spec),  # type: ignore[arg-type]  # two dicts by name
            status=_status(error),
            error=failure(*_reason(error), folder) if error else None,
            started=self.started,
            ended=now(),
            validation=outcome.validation,
            best_epoch=outcome.best_epoch,
            scores=outcome.scores if error is None else (),
            counts=outcome.counts,
            method_config=outcome.method_config,
            sparsity=outcome.sparsity,
            cost=outcome.cost(),
            environment=describe(self.device, self.spec.threads) | dict(self.facts),
            digests=digests,
            search=self.search,
            notes=tuple(map(redact, outcome.notes)),
        )
        write_once(folder / RECORD_FILE, record.to_json())
        return record


def _write_items(folder: Path, items: Any) -> str:  # Any: a pyarrow table; see run_one
    import pyarrow.parquet as pq

    partial = folder / f".{ITEMS_FILE}.partial"
    pq.write_table(items, partial, compression="zstd")
    partial.rename(folder / ITEMS_FILE)
    return file_digest(folder / ITEMS_FILE)


def _status(problem: BaseException | None) -> Status:
    from runners.memory import exhausted

    if problem is None:
        return "ok"
    if isinstance(problem, Diverged):
        return "diverged"
    if isinstance(problem, NotApplicable):
        return "not_applicable"
    if isinstance(problem, KeyboardInterrupt):
        return "cancelled"
    if exhausted(problem):
        return "out_of_memory"
    if disk_is_full(problem):  # no fault of the run's: the next start of the suite takes it up again
        return "lost"
    return "failed"


def _reason(problem: BaseException) -> tuple[str, str]:
    if isinstance(problem, KeyboardInterrupt):
        return "interrupted", "stopped by an interrupt"
    if disk_is_full(problem):
        return DISK_FULL, f"there is no room for what this run writes ({problem}); make some and run the suite again"
    return type(problem).__name__, str(problem) or type(problem).__name__


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runners.worker", description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--suite")
    parser.add_argument("--mirror")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", default="final")
    parser.add_argument("--checkpoint-minutes", type=float)
    parser.add_argument("--runs-per-device", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--sharded", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
