"""The record: what happened in one attempt. Written once, never changed; the board is a function of records alone.

A record is a small JSON file beside its ``items.parquet`` (one row per scored example) and ``log.txt``. Unknown is
null, never a stand-in number. A change of the schema raises ``SCHEMA_VERSION`` and adds one step to ``UPGRADES``.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from harness.spec import Spec

SCHEMA_VERSION = 1
RECORD_FILE, STARTED_FILE, ITEMS_FILE, LOG_FILE, TRAINED_FILE, EXTRA_FOLDER = (
    "record.json",
    "started.json",
    "items.parquet",
    "log.txt",
    "trained.safetensors",
    "extra",
)

Status = Literal["ok", "diverged", "out_of_memory", "timed_out", "lost", "failed", "cancelled", "not_applicable"]
"""How an attempt ended. ``cancelled`` and ``not_applicable`` carry their reason in ``Record.error``."""


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(_Block):
    """Why an attempt is not ok."""

    kind: str
    """The exception's class, or the reason's keyword (``interrupted``, ``killed``)."""
    message: str
    log_tail: tuple[str, ...] = ()
    """The last lines of the log, secrets masked."""


class EpochMetrics(_Block):
    """Validation after one epoch."""

    epoch: int
    train_loss: float | None
    validation_loss: float | None
    metrics: dict[str, float | None]
    selectable: bool = True


class TaskScore(_Block):
    """The numbers of one scored task on its test split; the items themselves lie in ``items.parquet``."""

    task: str
    split: str
    num_items: int
    metrics: dict[str, float | None]
    """Headline first, then the card's further metrics."""
    headline: str
    truncated: int = 0
    """Rows whose text was cut at ``max_length``."""
    items_digest: str
    """Digest of item ids and references in order: equal digests may be paired."""


class Counts(_Block):
    """The four counts of a run, and what the budget is measured against."""

    trained: int
    """Optimiser-updated scalars outside the head."""
    head: int
    """Scalars the loader had to initialise newly for the task, trained or not."""
    head_trained: bool
    total: int
    """N: scalars of the backbone without head, tied weights once."""
    stored_bits: int
    """Bits that the trained part without head takes, mask indices counted."""
    extra_at_inference: int
    """Scalars left beside the backbone's own after merging."""


class Cost(_Block):
    """Seconds per phase and what they bought."""

    seconds: dict[str, float] = Field(default_factory=dict)
    """Phases: load, data, attach, calibrate, fit, validate, score, restore, latency."""
    train_items_per_second: float | None = None
    """After warm-up (the first tenth of the steps)."""
    train_tokens_per_second: float | None = None
    peak_bytes: int | None = None
    """Highest memory of the process (CPU: resident set) or of the device's allocator (GPU) in this attempt."""
    trained_part_bytes: int | None = None
    steps: int | None = None
    sent_bytes: int | None = None
    """What one of several ranks that train apart gave to the others; null where there are none."""
    checkpoint_bytes: int | None = None
    """What changed in an epoch after the first, for methods that know; see ``harness.updates``."""
    latency_seconds: float | None = None
    """Of one forward pass over one row, alone in its batch, with the method's structure in place."""
    plain_latency_seconds: float | None = None
    """Of the same pass through the backbone alone, in the same process: what a method costs once it is merged."""


class Digests(_Block):
    """What this run was made of; ``provenance`` covers the rest and decides reuse."""

    data: dict[str, str] = Field(default_factory=dict)
    """Task to digest of the raw rows."""
    data_state: dict[str, str] = Field(default_factory=dict)
    """Task to ``complete``, ``subset``, ``carved``, ``generated`` or ``unknown``, the worst of the splits used."""
    weights: str | None = None
    code: str | None = None
    items: str | None = None
    """SHA-256 of items.parquet."""
    provenance: str | None = None


class Record(_Block):
    """Everything known of one attempt."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    attempt: int
    suite: str | None = None
    """The suite that asked; not part of the question, so equal runs of two suites are one run."""
    spec: Spec
    method_card: dict[str, JsonValue] = Field(default_factory=dict)
    task_cards: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Trained and scored tasks by name; the board reads metric direction and unit from here."""
    status: Status
    error: Failure | None = None
    started: str
    """UTC, ISO 8601."""
    ended: str
    validation: tuple[EpochMetrics, ...] = ()
    best_epoch: int | None = None
    scores: tuple[TaskScore, ...] = ()
    counts: Counts | None = None
    method_config: dict[str, JsonValue] = Field(default_factory=dict)
    """The method's values as run, after the budget was solved."""
    sparsity: float | None = None
    """Share of exact zeros in the targeted weights of the result, for methods that make some."""
    cost: Cost = Cost()
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    digests: Digests = Digests()
    search: dict[str, JsonValue] | None = None
    """The bill of the search that chose these values; null where there was none."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n"


class UnreadableRecord(ValueError):
    """A file that is not a record; the message names it and says what is wrong."""


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Schema version to the step that makes the next version of its JSON (Any: JSON of an older shape)."""


def run_id(spec: Spec) -> str:
    """Return a spec's run id, which is remembered: a plan of thousands of runs asks for each several times."""
    return _run_id(spec.model_dump_json())


@lru_cache(maxsize=1 << 15)
def _run_id(text: str) -> str:
    return Spec.model_validate_json(text).run_id


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of cycles from walking over thousands of records again and again: there are none in them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()  # what was made is old now, and not walked over as what is young
            gc.enable()


def read_record(path: Path) -> Record:
    """Read one record, upgrading older schemas.

    Raises:
        UnreadableRecord: if the file is truncated, foreign, of an unknown schema version, or its run id does not
            match its spec.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if (record := _at_once(text)) is None:
            content = json.loads(text, parse_constant=_number, parse_float=_number)
            version = content["schema_version"]
            while version in UPGRADES:
                content = UPGRADES[version](content)
                version = content["schema_version"]
            record = Record.model_validate(content) if version == SCHEMA_VERSION else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableRecord(f"{path}: not a record ({_reason(error)})") from error
    if record is None:
        raise UnreadableRecord(
            f"{path}: schema version {version} is unknown; this version reads up to {SCHEMA_VERSION}"
        )
    if record.run_id != run_id(record.spec):
        raise UnreadableRecord(
            f"{path}: names run {record.run_id}, but its spec is {record.spec.run_id}; it was edited"
        )
    return record


def _at_once(text: str) -> Record | None:
    """Return a record that is plainly one of today's; null for what needs a closer look, of which there is little.

    A folder holds thousands, and this takes a third of the time. It leaves NaN and what may overflow a float to the
    closer look.
    """
    if '"schema_version"' not in text or any(odd in text for odd in ("NaN", "Infinity", "e+")):
        return None
    try:
        record = Record.model_validate_json(text)
    except ValidationError:
        return None
    return record if record.schema_version == SCHEMA_VERSION and _is_finite(record) else None


def _is_finite(record: Record) -> bool:
    """Return whether every measured number is one, such as 1e999 is not."""
    scored = [number for score in record.scores for number in score.metrics.values()]
    validated = [number for epoch in record.validation for number in epoch.metrics.values()]
    losses = [loss for epoch in record.validation for loss in (epoch.train_loss, epoch.validation_loss)]
    cost = record.cost
    rates = (record.sparsity, cost.train_items_per_second, cost.train_tokens_per_second)
    latencies = (cost.latency_seconds, cost.plain_latency_seconds)
    known = (*scored, *validated, *losses, *rates, *latencies, *cost.seconds.values())
    return all(math.isfinite(number) for number in known if number is not None)


def _number(text: str) -> float:
    """Return a number; NaN and infinity are no JSON, and unknown is null."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} stands where a finite number or null must")
    return number


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def write_once(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all, and never replaces one (temporary name, fsync, link, fsync).

    Raises:
        FileExistsError: if ``path`` exists.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name(temporary: Path, path: Path) -> None:
    with suppress(OSError):  # a file system without hard links, or a name that is taken
        os.link(temporary, path)  # a rename would replace what another process wrote in the meantime
        return
    if path.exists():
        raise FileExistsError(f"{path} exists and records are never replaced; a new execution is a new attempt")
    temporary.rename(path)


def json_schema() -> dict[str, Any]:  # Any: a JSON Schema document
    """Return the JSON Schema of a record; ``harness/record.schema.json`` holds it, and a test keeps it true."""
    return Record.model_json_schema()
