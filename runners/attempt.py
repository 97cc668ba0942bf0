"""An attempt's folder: opened before work, closed by one record, and found out to be lost when its owner died."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError

from harness import registry
from harness.environment import redact
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import (
    EXTRA_FOLDER,
    ITEMS_FILE,
    LOG_FILE,
    RECORD_FILE,
    STARTED_FILE,
    TRAINED_FILE,
    Digests,
    Failure,
    Record,
    Status,
    UnreadableRecord,
    read_record,
    write_once,
)
from harness.spec import Spec

TRAINED_FACTS_FILE = "trained.json"
"""Lies beside the trained part and says what it is of; see ``runners.checkpoint``."""
LOG_TAIL, LONGEST_LINE = 20, 500
"""Lines of the log that a record holds, and characters of each; a record stays small."""
LONGEST_MESSAGE = 2000
CLOCK_STEP = 2.0
"""Seconds by which two processes may read another's start differently: it is counted from a boot time that drifts."""
DISK_FULL = "DiskFull"
"""The kind of error of an attempt that found no room for what it wrote, which says nothing of its method."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Attempt:
    """One execution of a run: ``OUT/<run_id>/<number>``."""

    folder: Path
    run_id: str
    number: int


class Owner(BaseModel):
    """The process that runs an attempt, told from every other one, on this machine and after a restart of it."""

    pid: int
    process_started: float
    host: str
    boot_id: str | None
    start_ticks: int | None = None
    """Its start in ticks since the machine's, which no clock that is set moves; null where the system does not tell."""


class Started(BaseModel):
    """What ``started.json`` holds."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    attempt: int
    suite: str | None
    started: str
    spec: Spec
    owner: Owner


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
    started = Started(run_id=spec.run_id, attempt=number, suite=suite, started=now(), spec=spec, owner=owner())
    write_once(folder / STARTED_FILE, json.dumps(started.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    return Attempt(folder, spec.run_id, number)


def attempts(out: Path, run_id: str) -> list[Attempt]:
    """Return the attempts of a run, oldest first."""
    run = out / run_id
    try:
        with os.scandir(run) as entries:
            numbers = sorted((int(entry.name), entry.name) for entry in entries if _is_attempt(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Attempt(run / name, run_id, number) for number, name in numbers]


def records(out: Path, run_id: str) -> tuple[list[Record], list[str]]:
    """Return the readable records of a run, oldest first, and what is wrong with the others."""
    readable, problems = [], []
    for attempt in attempts(out, run_id):
        path = attempt.folder / RECORD_FILE
        try:
            if not os.path.exists(path):
                _check_started(attempt)
                continue
            record = read_record(path)
            if record.run_id != run_id:
                raise UnreadableRecord(f"{path}: is of run {record.run_id}, but lies in the folder of {run_id}")
            readable.append(record)
        except UnreadableRecord as error:
            problems.append(str(error))
    return readable, problems


def read_started(attempt: Attempt) -> Started:
    """Return what was written before the attempt's work began.

    Raises:
        UnreadableRecord: if the file is missing, damaged, or of another run.
    """
    path = attempt.folder / STARTED_FILE
    try:
        started = Started.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UnreadableRecord(
            f"{path}: does not tell who started this attempt ({type(error).__name__}); remove its folder"
        ) from error
    if started.spec.run_id != attempt.run_id:
        raise UnreadableRecord(f"{path}: is of run {started.spec.run_id}, but lies in the folder of {attempt.run_id}")
    return started


def owner() -> Owner:
    """Return what describes this process."""
    return Owner(
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        host=socket.gethostname(),
        boot_id=_boot_id(),
        start_ticks=_start_ticks(os.getpid()),
    )


def is_here(process: Owner) -> bool:
    """Return whether a process ran on this machine, as opposed to another one that shares the disk."""
    return process.host == socket.gethostname()


def is_alive(process: Owner) -> bool:
    """Return whether a process may still run; of one on another machine nothing can be told."""
    if not is_here(process):
        return True
    if process.boot_id != _boot_id():
        return False
    try:
        found = psutil.Process(process.pid)
        ticks = _start_ticks(process.pid)
        if process.start_ticks is not None and ticks is not None:
            same = ticks == process.start_ticks
        else:
            same = abs(found.create_time() - process.process_started) < CLOCK_STEP
        return same and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def unfinished(out: Path) -> Iterator[tuple[Attempt, Started]]:
    """Yield attempts that were started and have no record: they run, or their owner is gone."""
    for run_id in sorted(os.listdir(out)) if out.is_dir() else []:
        for attempt in attempts(out, run_id):
            # Of thousands most have ended: one look for each.
            if not os.path.exists(attempt.folder / RECORD_FILE) and (attempt.folder / STARTED_FILE).is_file():
                with suppress(UnreadableRecord):  # ``records`` names it
                    yield attempt, read_started(attempt)


def close_without_worker(
    attempt: Attempt,
    status: Status,
    kind: str,
    message: str,
    digests: Digests | None = None,
    search: dict[str, JsonValue] | None = None,
) -> Record:
    """Write the record of an attempt whose worker cannot, or return the one that it wrote in the meantime."""
    if (attempt.folder / RECORD_FILE).exists():
        return read_record(attempt.folder / RECORD_FILE)
    discard_results(attempt.folder)
    started = read_started(attempt)
    record = Record(
        run_id=attempt.run_id,
        attempt=attempt.number,
        suite=started.suite,
        spec=started.spec,
        **_known_cards(started.spec),  # type: ignore[arg-type]  # two dicts by name
        status=status,
        error=failure(kind, message, attempt.folder),
        started=started.started,
        ended=now(),
        digests=digests or Digests(),
        search=search,
    )
    write_once(attempt.folder / RECORD_FILE, record.to_json())
    return record


def disk_is_full(problem: BaseException) -> bool:
    """Return whether an error says that there is no room on the disk; some libraries say so in words alone."""
    if isinstance(problem, OSError) and problem.errno in FULL:
        return True
    return isinstance(problem, OSError | SafetensorError) and any(os.strerror(code) in str(problem) for code in FULL)


def cannot_write(problem: OSError) -> bool:
    """Return whether an error says that a folder takes nothing any more: it is full, or was closed to this user."""
    return disk_is_full(problem) or isinstance(problem, PermissionError) or problem.errno == errno.EROFS


def discard_results(folder: Path) -> None:
    """Remove what an attempt left that its record will not tell of, files that were only half written included."""
    results = [folder / name for name in (ITEMS_FILE, TRAINED_FILE, TRAINED_FACTS_FILE)]
    for path in (*results, *folder.glob(".*.partial")):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / EXTRA_FOLDER, ignore_errors=True)


def failure(kind: str, message: str, folder: Path) -> Failure:
    """Return why an attempt is not ok, masked and short enough for a record, with the end of its log."""
    return Failure(kind=kind, message=_clip(redact(message), LONGEST_MESSAGE), log_tail=log_tail(folder))


def cards(spec: Spec) -> dict[str, dict[str, JsonValue]]:
    """Return the cards that a record carries."""
    names = dict.fromkeys((spec.train, *spec.score))
    tasks: dict[str, JsonValue] = {
        name: registry.load_task(name, spec.protocol).card.model_dump(mode="json") for name in names
    }
    return {"method_card": registry.find("method", spec.method).card, "task_cards": tasks}


def log_tail(folder: Path) -> tuple[str, ...]:
    """Return the last lines of an attempt's log."""
    try:
        lines = (folder / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(_clip(line, LONGEST_LINE) for line in lines[-LOG_TAIL:])


def now() -> str:
    """Return the time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _is_attempt(entry: os.DirEntry[str]) -> bool:
    return entry.name.isdigit() and entry.is_dir()


def _check_started(attempt: Attempt) -> None:
    if (attempt.folder / STARTED_FILE).exists():  # without it, a worker is just making the folder, or died doing so
        read_started(attempt)


def _known_cards(spec: Spec) -> dict[str, dict[str, JsonValue]]:
    try:
        return cards(spec)
    except (UnknownName, MissingPrerequisite):  # a plugin that is not installed any more must not lock its folder
        return {}


def _clip(text: str, length: int) -> str:
    """Shorten a text, and replace what UTF-8 cannot hold."""
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    return text if len(text) <= length else f"{text[:length]}..."


def _start_ticks(pid: int) -> int | None:
    """Return when a process began, in ticks since the machine did: field 22 of its line in Linux's process table."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    after_name = line.rpartition(")")[2].split()  # a name may hold blanks and brackets; field 3 comes next
    return int(after_name[19])


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
