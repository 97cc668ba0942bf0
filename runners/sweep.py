"""The sweep: running what a plan says a suite still needs, and keeping the folder of its runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import UnwritableFolder, UserError
from runners.agenda import Agenda
from runners.attempt import (
    Attempt,
    attempts,
    close_without_worker,
    is_alive,
    is_here,
    owner,
    records,
    unfinished,
)
from runners.executor import Executor, Observer, end_event, executor
from runners.forecast import Speeds
from runners.plan import Plan
from runners.process import Options
from runners.queue import Queue
from runners.spares import Spares
from runners.trials import RERUN

LOCK_WAIT = 5.0
"""Seconds to wait for a folder: workers of a scheduler that was just killed need a moment to notice."""


class Busy(UserError, RuntimeError):
    """Another scheduler works on the same folder."""


def run(planned: Plan, options: Options, observe: Observer, speeds: Speeds, spares: Spares | None = None) -> bool:
    """Run what a plan calls todo or stale, the longest first, and what its searches ask for in answer.

    Args:
        planned: what is still to do.
        options: of every worker.
        observe: told each event.
        speeds: what is known of how long runs take.
        spares: workers that have been started already; those that are not needed stay the caller's.

    Returns:
        Whether an interrupt ended it early.
    """
    agenda = planned.agenda
    _close(agenda, options.suite, observe)
    specs = [one.spec for one in agenda.todo()]
    # Without a search nothing is added, and no worker is started for runs that may come.
    queue = Queue(specs, follow=agenda if planned.waiting else None, speeds=speeds)
    with executor(options, observe, queue, spares) as started, _interrupts(started) as interrupts:
        for doubt in started.doubts(specs):
            observe(None, {"type": "warning", "message": doubt})
        started.run()
    _close(agenda, options.suite, observe)
    return bool(interrupts)


def _close(agenda: Agenda, suite: str | None, observe: Observer) -> None:
    for closed in agenda.close(suite):
        observe(closed.record.spec, {**end_event(*closed), "again": False})


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
