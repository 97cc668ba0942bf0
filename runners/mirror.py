"""Mirror: fetch what a suite reads, data and weights, into a folder that serves machines without a network.

The folder has the hub's layout, ``<hub id>/<config>/<split>.parquet``, with ``models/NAME@REVISION`` beside it and a
``MANIFEST.json`` of checksums, row counts and states. A second call fetches what is missing; the manifest is replaced
as a whole, after each file, so that an interrupted call leaves a mirror that can be used and completed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from harness import provenance, registry
from harness.backbone import MODELS, locate
from harness.data import DataSource, chosen, mirrored
from harness.digest import file_digest
from harness.errors import MissingPrerequisite, UnwritableFolder
from harness.spec import Spec
from harness.task import Split, Task

MANIFEST = "MANIFEST.json"
VERSION = 1


class Fetched(NamedTuple):
    """One thing that was asked for."""

    what: str
    """A file below the mirror, or a backbone's reference."""
    outcome: str
    """``fetched``, ``here`` or ``not needed``, or ``failed`` with the reason."""
    detail: str


def fill(specs: Sequence[Spec], source: DataSource, folder: Path) -> Iterator[Fetched]:
    """Fetch what runs of ``specs`` read, one thing after the other; what cannot be had is told and the rest goes on.

    Args:
        specs: of a suite.
        source: where rows come from: the hub, or another mirror.
        folder: of the mirror; made where it is missing.

    Raises:
        UnwritableFolder: if nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for task, split in _wanted(specs):
            yield _rows(task, split, source, folder)
        for reference in dict.fromkeys(spec.backbone for spec in specs):
            yield _weights(reference, folder)
    except OSError as error:
        raise UnwritableFolder(folder, error, "the argument DIR") from error


def _wanted(specs: Sequence[Spec]) -> Iterator[tuple[Task, Split]]:
    """Yield the splits of hub datasets that the runs read, and the hidden ones that a submission would."""
    names = dict.fromkeys(name for spec in specs for name in (spec.train, *spec.score))
    read = dict.fromkeys(read for spec in specs for read in provenance.splits_read(spec))
    hidden: list[tuple[str, Split]] = [(name, "hidden") for name in names]
    for name, split in [*read, *hidden]:
        task = registry.load_task(name)
        if task.card.source.hub and split in task.card.source.splits:
            yield task, split


def _rows(task: Task, split: Split, source: DataSource, folder: Path) -> Fetched:
    place = mirrored(task, split)
    files = _manifest(folder)
    known = files.get(place.as_posix())
    target = folder / place
    if known and target.is_file() and file_digest(target) == known.get("sha256"):
        if known.get("state") == "unknown" and not source.mirror:
            known["state"] = _state(task, split, pq.read_table(target))
            _write_manifest(folder, files)
        return Fetched(place.as_posix(), "here", f"{known['rows']} rows, {known['state']}")
    try:
        raw, revision = source.fetch(task, split), source.revision(task, split)
    except MissingPrerequisite as error:
        return Fetched(place.as_posix(), "failed", str(error))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    pq.write_table(raw.table, partial)
    partial.replace(target)
    rows = raw.table.num_rows
    state = raw.state if source.mirror else _state(task, split, raw.table)
    files[place.as_posix()] = {
        "sha256": file_digest(target),
        "rows": rows,
        "state": state,
        "revision": revision,
    }
    _write_manifest(folder, files)
    return Fetched(place.as_posix(), "fetched", f"{rows:,} rows, {state}")


def _state(task: Task, split: Split, table: pa.Table) -> str:
    """Return ``complete`` where the rows that the task takes of a file are as many as its card says."""
    return "complete" if chosen(table, task).num_rows == task.card.sizes.get(split) else "unknown"


def _weights(reference: str, folder: Path) -> Fetched:
    scheme = reference.partition(":")[0] if ":" in reference else "hub"
    if scheme != "hub":
        return Fetched(reference, "not needed", f"{scheme}: is not fetched; have it on the other machine as well")
    name, _, revision = reference.removeprefix("hub:").partition("@")
    target = folder / MODELS / f"{name}@{revision or 'main'}"
    if target.is_dir():
        return Fetched(reference, "here", str(target.relative_to(folder)))
    try:
        found = locate(reference)
    except MissingPrerequisite as error:
        return Fetched(reference, "failed", str(error))
    assert found.folder is not None
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.copytree(found.folder, partial)  # follows links: the hub's cache is made of them
    partial.rename(target)
    return Fetched(reference, "fetched", f"{found.model_type}, weights {found.digest[:12]}")


def _manifest(folder: Path) -> dict[str, dict[str, JsonValue]]:
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise MissingPrerequisite(f"{path} is not a manifest ({error!r}); mend it or remove it") from error


def _write_manifest(folder: Path, files: dict[str, dict[str, JsonValue]]) -> None:
    partial = folder / f".{MANIFEST}.{os.getpid()}.partial"
    text = json.dumps({"version": VERSION, "files": files}, indent=1, sort_keys=True)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)
