"""A worker: a warm process that executes specs one after another.

It reads one JSON job a line from standard input and writes one JSON event a line to standard output, under every
executor alike. While a spec runs, whatever the process prints goes to the attempt's log, secrets masked. A closed
standard input means that the scheduler is gone: the worker then stops at once, and its attempt is found to be lost.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from harness.data import DataSource
from harness.environment import describe, limit_threads, redact
from harness.errors import Diverged, NotApplicable
from harness.record import ITEMS_FILE, LOG_FILE, RECORD_FILE, TRAINED_FILE, Failure, Record, Status, write_once
from harness.registry import check_packages
from harness.spec import Spec
from runners.attempt import Attempt, cards, log_tail, now, open_attempt


class Log:
    """Sends everything that this process prints to an attempt's log, masked before it reaches the disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG_FILE

    def __enter__(self) -> Log:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = os.dup(1), os.dup(2)
        read_end, write_end = os.pipe()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.close(write_end)
        self._thread = threading.Thread(target=self._copy, args=(read_end,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for saved, descriptor in zip(self._saved, (1, 2), strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        self._thread.join()

    def _copy(self, read_end: int) -> None:
        with (
            os.fdopen(read_end, encoding="utf-8", errors="replace") as source,
            self._path.open("w", encoding="utf-8") as log,
        ):
            for line in source:
                log.write(redact(line))
                log.flush()


def run_one(spec: Spec, out: Path, warm: Any, suite: str | None, keep: str, report: Any) -> tuple[Record, Path, bool]:
    """Execute one spec in a new attempt and write its record, whatever happens.

    Args:
        spec: what to run.
        out: the folder of runs.
        warm: the worker's ``runners.execute.Warm`` (Any: importing it here would load torch before
            the thread count is set).
        suite: the suite that asked.
        keep: ``none``, ``final`` or ``all``.
        report: called with events (Any: see ``runners.fit.Report``).

    Returns:
        The record, its attempt's folder, and whether the worker can go on.
    """
    from runners.execute import Outcome, execute

    attempt = open_attempt(out, spec, suite)
    started = now()
    report({"type": "started", "run_id": spec.run_id, "attempt": attempt.number})
    outcome, error = Outcome(), None
    status: Status = "ok"
    with Log(attempt.folder):
        try:
            execute(spec, warm, outcome, keep, report)
        except Exception as problem:  # the worker is where any exception becomes a record
            status = _status(problem)
            if status != "not_applicable":
                traceback.print_exc()
            error = problem
    healthy = error is None or status in ("diverged", "not_applicable", "out_of_memory")
    return (
        _close(attempt, spec, suite, started, outcome, status, error, warm.device),
        attempt.folder,
        healthy and (outcome.reusable or error is not None),
    )


def main() -> None:
    """Serve a scheduler until it closes standard input."""
    check_packages()
    options = _arguments()
    limit_threads(options.threads)
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing but events may reach the scheduler
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, jobs), daemon=True).start()

    def report(event: Mapping[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    import torch

    from runners.execute import Warm

    torch.set_num_threads(options.threads)
    warm = Warm(DataSource.of(options.mirror), options.device)
    report({"type": "ready"})
    while True:
        spec = Spec.model_validate_json(jobs.get())
        record, folder, healthy = run_one(spec, Path(options.out), warm, options.suite, options.keep, report)
        report({"type": "ended", "status": record.status, "folder": str(folder), "healthy": healthy})
        if not healthy:
            return


def _listen(stream: IO[str], jobs: queue.Queue[str]) -> None:
    for line in stream:
        jobs.put(line)
    os._exit(3)  # the scheduler is gone; an orphan must not go on writing


def _close(
    attempt: Attempt,
    spec: Spec,
    suite: str | None,
    started: str,
    outcome: Any,  # Any: see run_one
    status: Status,
    error: Exception | None,
    device: str,
) -> Record:
    digests = outcome.digests
    if outcome.items is not None and error is None:
        digests = digests.model_copy(update={"items": _write_items(attempt.folder, outcome.items)})
    if outcome.state and error is None:
        from safetensors.torch import save_file

        save_file(
            {name: tensor.contiguous() for name, tensor in outcome.state.items()},
            attempt.folder / TRAINED_FILE,
            metadata={"run_id": spec.run_id, "method": spec.method, "backbone": spec.backbone},
        )
    record = Record(
        run_id=spec.run_id,
        attempt=attempt.number,
        suite=suite,
        spec=spec,
        **cards(spec),  # type: ignore[arg-type]  # two dicts by name
        status=status,
        error=_failure(error, attempt.folder) if error else None,
        started=started,
        ended=now(),
        validation=outcome.validation,
        best_epoch=outcome.best_epoch,
        scores=outcome.scores if error is None else (),
        counts=outcome.counts,
        method_config=outcome.method_config,
        sparsity=outcome.sparsity,
        cost=outcome.cost(),
        environment=describe(device, spec.threads),
        digests=digests,
        notes=outcome.notes,
    )
    write_once(attempt.folder / RECORD_FILE, record.to_json())
    return record


def _write_items(folder: Path, items: Any) -> str:  # Any: a pyarrow table; see run_one
    import hashlib

    import pyarrow.parquet as pq

    path = folder / ITEMS_FILE
    pq.write_table(items, path, compression="zstd")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _status(problem: Exception) -> Status:
    import torch

    if isinstance(problem, Diverged):
        return "diverged"
    if isinstance(problem, NotApplicable):
        return "not_applicable"
    if isinstance(problem, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(problem):
        return "out_of_memory"
    return "failed"


def _failure(problem: Exception, folder: Path) -> Failure:
    return Failure(kind=type(problem).__name__, message=redact(str(problem)), log_tail=log_tail(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runners.worker", description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--suite")
    parser.add_argument("--mirror")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", default="final")
    return parser.parse_args()


if __name__ == "__main__":
    main()
