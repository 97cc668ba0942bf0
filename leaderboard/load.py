"""Records from folders: what can be read is used, what cannot is named, and nothing depends on the order of folders.

A run id is one question and an attempt one try at it. The result of a run is its newest attempt that is ok, else its
newest attempt. Items are read only when an interval asks for them.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import MissingPrerequisite, UnknownName
from harness.metric import Metric, Rows, find
from harness.record import ITEMS_FILE, RECORD_FILE, STARTED_FILE, Record, TaskScore, UnreadableRecord, read_record
from leaderboard.statistics import Entry

REMEDY = "remove its attempt folder, or restore the file"
"""What to do about a file that cannot be used."""


@dataclass(frozen=True)
class Attempt:
    """One record and where it lies."""

    record: Record
    folder: Path
    has_items: bool = True

    @property
    def label(self) -> str:
        """Run and attempt as folders name them, free of the machine's paths."""
        return f"{self.record.run_id}/{self.record.attempt:03d}"


@dataclass(frozen=True)
class Run:
    """All attempts at one run id, oldest first."""

    run_id: str
    attempts: tuple[Attempt, ...]

    @cached_property
    def result(self) -> Attempt:
        """The newest ok attempt, else the newest."""
        good = [attempt for attempt in self.attempts if attempt.record.status == "ok"]
        return (good or self.attempts)[-1]

    @cached_property
    def record(self) -> Record:
        """The record of the result."""
        return self.result.record

    @property
    def suites(self) -> tuple[str, ...]:
        """Every suite that asked for this run."""
        return tuple(sorted({attempt.record.suite or "" for attempt in self.attempts}))

    def score(self, task: str) -> TaskScore | None:
        """Return the scores of one task where this run has them."""
        return next((score for score in self.record.scores if score.task == task), None)


class Loaded(NamedTuple):
    """What lies in some folders."""

    runs: tuple[Run, ...]
    """By run id."""
    unreadable: list[str]
    """One message for each file that was left out."""
    num_unfinished: int
    """Attempts that started and have no record: running, or not yet known to be lost."""

    @property
    def num_records(self) -> int:
        """Attempts with a readable record, copies counted once."""
        return sum(len(run.attempts) for run in self.runs)


def load_records(folders: Sequence[Path]) -> Loaded:
    """Read every ``<run id>/<attempt>/record.json`` under the folders, however deep.

    Raises:
        MissingPrerequisite: if a folder does not exist.
    """
    attempts: dict[str, Attempt] = {}  # by content: copies of a record count once
    unreadable: set[str] = set()
    started: set[str] = set()
    for folder in folders:
        if not folder.is_dir():
            raise MissingPrerequisite(f"there is no folder {folder}; give the output folder of a run, or of a release")
        for place in _attempt_folders(folder):
            if place.record is None:
                started.add(f"{place.folder.parent.name}/{place.folder.name}")
                continue
            try:
                record, digest = read_record(place.record), hashlib.sha256(place.record.read_bytes()).hexdigest()
            except (UnreadableRecord, OSError) as error:
                # A page may be published: it names the file, not where this machine keeps it.
                path = place.record
                message = str(error).replace(str(path), str(Path(folder.name) / path.relative_to(folder)))
                unreadable.add(f"{message}; {REMEDY}")
                continue
            if digest not in attempts or not attempts[digest].has_items:
                attempts[digest] = Attempt(record, place.folder, place.has_items)
    by_run: dict[str, list[Attempt]] = defaultdict(list)
    for digest, attempt in sorted(attempts.items(), key=lambda pair: _age(pair[1], pair[0])):
        del digest
        by_run[attempt.record.run_id].append(attempt)
    runs = tuple(Run(run_id, tuple(by_run[run_id])) for run_id in sorted(by_run))
    return Loaded(runs, sorted(unreadable), len(started))


def _age(attempt: Attempt, digest: str) -> tuple[int, str, str]:
    return attempt.record.attempt, attempt.record.started, digest


class _Place(NamedTuple):
    """A folder that an attempt was started or recorded in."""

    folder: Path
    record: Path | None
    has_items: bool


def _attempt_folders(folder: Path) -> Iterator[_Place]:
    """Yield the attempts under a folder, in the order of their paths."""
    waiting = [str(folder)]
    while waiting:  # as ``os.walk`` does, which takes twice as long
        place, inside, files = waiting.pop(), [], set()
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inside.append(entry.path)
                else:
                    files.add(entry.name)
        waiting += sorted(inside, reverse=True)
        if RECORD_FILE in files or STARTED_FILE in files:
            here = Path(place)
            yield _Place(here, here / RECORD_FILE if RECORD_FILE in files else None, ITEMS_FILE in files)


class Items(NamedTuple):
    """The scored examples of one run on one task, in stored order."""

    item_ids: tuple[str, ...]
    cluster_ids: tuple[str, ...]
    rows: Rows


def read_items(attempt: Attempt, task: str, metric: Metric) -> Items:
    """Read one task's rows of an attempt.

    Raises:
        UnreadableRecord: if the file is missing, is not the one that the record tells of, or does not give its score.
    """
    try:
        return _items(attempt, task, metric)
    except UnreadableRecord as error:
        raise UnreadableRecord(f"{attempt.label}/{ITEMS_FILE}: {error}; {REMEDY}") from error


def _items(attempt: Attempt, task: str, metric: Metric) -> Items:
    path = attempt.folder / ITEMS_FILE
    try:
        stat = path.stat()
        digest, table = _whole(path, stat.st_mtime_ns, stat.st_size)
        table = _of_task(table, task)
        columns = {key: _numbers(table[key]) for key in metric.statistics}
        names = _names(_packed(table["item_id"]), _packed(table["cluster_id"]))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise UnreadableRecord(f"not the items of a run ({type(error).__name__})") from error
    expected = attempt.record.digests.items
    if expected is not None and digest != expected.removeprefix("sha256:"):
        raise UnreadableRecord(f"its SHA-256 is not {expected}, as the record has it; it was edited")
    if not (names.distinct and all(np.isfinite(column).all() for column in columns.values())):
        raise UnreadableRecord(f"items of {task} are missing, doubled or have no statistics for {metric.name}")
    score = next((score for score in attempt.record.scores if score.task == task), None)
    stored = score.metrics.get(metric.name) if score else None
    computed = metric.score(columns)
    if stored is not None and not abs(stored - computed) <= 1e-6:
        raise UnreadableRecord(f"gives {metric.name} {computed:.6f} on {task}, the record says {stored:.6f}")
    return Items(names.item_ids, names.cluster_ids, columns)


# Neither ``pa.scalar`` nor ``to_numpy`` stands below: these load pandas first, which takes a quarter of a second.


def _of_task(table: pa.Table, task: str) -> pa.Table:
    """Return the rows of one task."""
    tasks = {one.as_py(): one for one in table["task"].unique()}
    if task not in tasks:
        return table.slice(0, 0)
    return table.filter(pc.equal(table["task"], tasks[task])) if len(tasks) > 1 else table


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.from_dlpack(column.cast(pa.float64()).combine_chunks()).astype(np.float64)


class _Packed(NamedTuple):
    """A column of texts as it lies in memory: equal ones hold equal texts."""

    num_texts: int
    offset: int
    buffers: tuple[bytes | None, ...]


def _packed(column: pa.ChunkedArray) -> _Packed:
    array = column.cast(pa.string()).combine_chunks()
    return _Packed(len(array), array.offset, tuple(part and part.to_pybytes() for part in array.buffers()))


class _Names(NamedTuple):
    """Whom the rows of a table are about."""

    item_ids: tuple[str, ...]
    cluster_ids: tuple[str, ...]
    distinct: bool
    """Whether there are items, each with an id of its own."""


@lru_cache(maxsize=1024)
def _names(items: _Packed, clusters: _Packed) -> _Names:
    """Return the texts of two columns; all runs of a task score the same items, and thousands are read."""
    item_ids, cluster_ids = (
        pa.Array.from_buffers(
            pa.string(), one.num_texts, [part and pa.py_buffer(part) for part in one.buffers], -1, one.offset
        ).to_pylist()
        for one in (items, clusters)
    )
    known = tuple(item if cluster is None else cluster for item, cluster in zip(item_ids, cluster_ids, strict=True))
    distinct = bool(item_ids) and None not in item_ids and len(set(item_ids)) == len(item_ids)
    return _Names(known if item_ids == list(known) else tuple(item_ids), known, distinct)


@lru_cache(maxsize=16)
def _whole(path: Path, changed: int, size: int) -> tuple[str, pa.Table]:
    """Read a file once for all of its tasks; time and size of the file belong to the cache's key."""
    del changed, size
    content = path.read_bytes()
    # Read with one thread and without buffers: these files are small, and setting more up takes five times as long.
    table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
    return hashlib.sha256(content).hexdigest(), table


def read_entry(runs: Sequence[Run], task: str, metric_name: str) -> Entry:
    """Return the rows of a cell on one task; its runs must be ok, of different seeds, and on equal items.

    Raises:
        UnreadableRecord: if some run's items cannot be used, or the seeds scored different items.
    """
    try:
        metric = find(metric_name)
    except UnknownName as error:
        raise UnreadableRecord(f"{task}: {error}") from error
    items = {run.record.spec.seed: read_items(run.result, task, metric) for run in runs}
    first = next(iter(items.values()))
    place = {item: number for number, item in enumerate(first.item_ids)}
    rows: dict[int, Rows] = {}
    for seed, other in items.items():
        if other.item_ids == first.item_ids:
            rows[seed] = other.rows
            continue
        if set(other.item_ids) != place.keys():
            raise UnreadableRecord(
                f"{task}: the seeds of {runs[0].record.spec.method} scored different items; run them again on the "
                "same data"
            )
        order = np.argsort([place[item] for item in other.item_ids])
        rows[seed] = {name: column[order] for name, column in other.rows.items()}
    return Entry(metric, first.item_ids, first.cluster_ids, rows)
