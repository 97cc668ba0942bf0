"""An attempt's folder: opened before work, closed by one record, and found out to be lost when its owner died."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psutil
from pydantic import JsonValue

from harness import registry
from harness.record import (
    LOG_FILE,
    RECORD_FILE,
    STARTED_FILE,
    Digests,
    Failure,
    Record,
    Status,
    UnreadableRecord,
    read_record,
    write_once,
)
from harness.spec import Spec

LOG_TAIL = 20


@dataclass(frozen=True)
class Attempt:
    """One execution of a run: ``OUT/<run_id>/<number>``."""

    folder: Path
    run_id: str
    number: int


def open_attempt(out: Path, spec: Spec, suite: str | None) -> Attempt:
    """Make the next attempt's folder and write who owns it, before any work."""
    run = out / spec.run_id
    run.mkdir(parents=True, exist_ok=True)
    number = max((attempt.number for attempt in attempts(out, spec.run_id)), default=0)
    while True:
        number += 1
        folder = run / f"{number:03}"
        try:
            folder.mkdir()
            break
        except FileExistsError:  # another worker took this number in the meantime
            continue
    started = {
        "run_id": spec.run_id,
        "attempt": number,
        "suite": suite,
        "started": now(),
        "spec": spec.model_dump(mode="json"),
    }
    write_once(folder / STARTED_FILE, json.dumps(started | {"owner": owner()}, indent=1, sort_keys=True) + "\n")
    return Attempt(folder, spec.run_id, number)


def attempts(out: Path, run_id: str) -> list[Attempt]:
    """Return the attempts of a run, oldest first."""
    run = out / run_id
    found = [folder for folder in run.iterdir() if folder.is_dir() and folder.name.isdigit()] if run.is_dir() else []
    return [Attempt(folder, run_id, int(folder.name)) for folder in sorted(found, key=lambda folder: int(folder.name))]


def records(out: Path, run_id: str) -> tuple[list[Record], list[str]]:
    """Return the readable records of a run, oldest first, and what is wrong with the others."""
    readable, problems = [], []
    for attempt in attempts(out, run_id):
        if (attempt.folder / RECORD_FILE).exists():
            try:
                readable.append(read_record(attempt.folder / RECORD_FILE))
            except UnreadableRecord as error:
                problems.append(str(error))
    return readable, problems


def owner() -> dict[str, JsonValue]:
    """Return what tells this process from every other one, on this machine and after a restart of it."""
    return {
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "host": socket.gethostname(),
        "boot_id": _boot_id(),
    }


def is_alive(facts: dict[str, JsonValue]) -> bool:
    """Return whether the process that ``owner`` described still runs here."""
    if facts.get("host") != socket.gethostname() or facts.get("boot_id") != _boot_id():
        return False
    try:
        process = psutil.Process(int(str(facts["pid"])))
        return process.create_time() == facts.get("process_started") and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return False


def abandoned(out: Path) -> Iterator[Attempt]:
    """Yield attempts that were started, have no record, and whose owner is gone."""
    for run in sorted(path for path in out.iterdir() if path.is_dir()) if out.is_dir() else []:
        for attempt in attempts(out, run.name):
            started = attempt.folder / STARTED_FILE
            if (attempt.folder / RECORD_FILE).exists() or not started.is_file():
                continue
            if not is_alive(_started(attempt).get("owner") or {}):  # type: ignore[arg-type]  # JSON of our own
                yield attempt


def close_without_worker(
    attempt: Attempt, status: Status, kind: str, message: str, digests: Digests | None = None
) -> Record | None:
    """Write the record of an attempt whose worker cannot; null if it wrote its own in the meantime."""
    if (attempt.folder / RECORD_FILE).exists():
        return None
    started = _started(attempt)
    spec = Spec.model_validate(started["spec"])
    record = Record(
        run_id=attempt.run_id,
        attempt=attempt.number,
        suite=started.get("suite"),  # type: ignore[arg-type]  # JSON of our own
        spec=spec,
        **cards(spec),  # type: ignore[arg-type]  # two dicts by name
        status=status,
        error=Failure(kind=kind, message=message, log_tail=log_tail(attempt.folder)),
        started=str(started["started"]),
        ended=now(),
        digests=digests or Digests(),
    )
    for partial in attempt.folder.glob(".*.partial"):  # what a killed worker had not finished writing
        partial.unlink()
    write_once(attempt.folder / RECORD_FILE, record.to_json())
    return record


def cards(spec: Spec) -> dict[str, dict[str, JsonValue]]:
    """Return the cards that a record carries."""
    names = dict.fromkeys((spec.train, *spec.score))
    tasks: dict[str, JsonValue] = {name: registry.load_task(name).card.model_dump(mode="json") for name in names}
    return {"method_card": registry.find("method", spec.method).card, "task_cards": tasks}


def log_tail(folder: Path) -> tuple[str, ...]:
    """Return the last lines of an attempt's log."""
    try:
        return tuple((folder / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:])
    except OSError:
        return ()


def now() -> str:
    """Return the time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _started(attempt: Attempt) -> dict[str, JsonValue]:
    content: dict[str, JsonValue] = json.loads((attempt.folder / STARTED_FILE).read_text(encoding="utf-8"))
    return content


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
