"""Releases: frozen folders of records and their board.

    RELEASES/NAME/release.json    what it is, and the SHA-256 of every other file
    RELEASES/NAME/cells.json      every cell as the board showed it, for what moved since
    RELEASES/NAME/records/...     the records and their items
    RELEASES/NAME/site/...        the board

A release is written once and never changed. Reading one compares each file with its SHA-256: one that was altered is
named and shown as such, and nothing of it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import NoData, UserError
from harness.record import ITEMS_FILE, RECORD_FILE
from leaderboard.cells import PUBLISHED
from leaderboard.frozen import FrozenCell, read_cells, write_cells
from leaderboard.load import Run, load_records
from leaderboard.page import pages_of
from leaderboard.site import Judge, Site, Trust
from leaderboard.writing import write

MANIFEST, CELLS, RECORDS, SITE = "release.json", "cells.json", "records", "site"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Manifest(BaseModel):
    """What a release says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Literal[1] = 1
    """Version of this file's form."""
    name: str = Field(pattern=f"^{NAME.pattern}$")
    date: date
    num_records: int
    files: dict[str, str]
    """Path below the release's folder to SHA-256."""


class Release(BaseModel):
    """A release as it lies on the disk."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    manifest: Manifest
    altered: tuple[str, ...] = ()
    """Files that were changed, removed or added since."""
    cells: tuple[FrozenCell, ...] = ()
    """Empty where the release was altered."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.manifest.name

    def runs(self, run_ids: Sequence[str]) -> tuple[Run, ...]:
        """Read some of its runs."""
        return load_records([self.folder / RECORDS / run_id for run_id in run_ids]).runs

    def board(self) -> list[str]:
        """Return the files of its board, below the board's folder."""
        start = f"{SITE}/"
        return [name.removeprefix(start) for name in sorted(self.manifest.files) if name.startswith(start)]

    def content(self, name: str) -> bytes:
        """Return what a file of its board holds."""
        return (self.folder / SITE / name).read_bytes()


class Archive(NamedTuple):
    """All releases that a board tells of."""

    releases: tuple[Release, ...] = ()
    """Newest first."""
    problems: tuple[str, ...] = ()
    """One message for each that cannot be used."""


class Frozen(BaseModel):
    """What freezing gave."""

    folder: Path
    num_records: int
    unreadable: tuple[str, ...]
    """Input files that could not be used, and are not in the release."""


def freeze(
    folders: Sequence[Path], releases: Path, name: str, day: date | None = None, judge: Judge | None = None
) -> Frozen:
    """Freeze the records under some folders, and their board as the world sees it, as one release.

    Args:
        folders: where records lie, at any depth.
        releases: the folder of all releases; made if needed.
        name: of the release, such as ``2026.11``.
        day: its date; that of the newest record by default.
        judge: says which results are stale.

    Raises:
        UserError: for a name that is taken or cannot be a folder's, or records that tell no date.
        NoData: if there is no record.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"a release cannot be named {name!r}; take up to 40 letters, digits, dots, dashes and underscores, such as "
            "2026.11"
        )
    place = releases / name
    if place.exists():
        raise UserError(f"the release {place} exists, and releases are never overwritten; choose another name")
    loaded = load_records(folders)
    if not loaded.runs:
        raise NoData(f"no record under {', '.join(map(str, folders))}; a release needs some")
    day = day or _newest(loaded.runs)
    partial = releases / f".{name}.{os.getpid()}.partial"
    try:
        _fill(partial, loaded.runs, judge or Trust())
        manifest = Manifest(name=name, date=day, num_records=loaded.num_records, files=_digests(partial))
        (partial / MANIFEST).write_text(_text(manifest.model_dump(mode="json")), encoding="utf-8")
        partial.rename(place)
    except OSError as error:
        raise UserError(f"the release {place} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Frozen(folder=place, num_records=loaded.num_records, unreadable=tuple(loaded.unreadable))


def _fill(folder: Path, runs: Sequence[Run], judge: Judge) -> None:
    folder.mkdir(parents=True)
    for run in runs:
        for number, attempt in enumerate(run.attempts, 1):
            own = folder / RECORDS / run.run_id / f"{number:03d}"
            own.mkdir(parents=True)
            for file in (RECORD_FILE, ITEMS_FILE):
                if (attempt.folder / file).is_file():
                    shutil.copyfile(attempt.folder / file, own / file)
    frozen = load_records([folder / RECORDS])
    site = Site.of(frozen, judge.stale(run.record for run in frozen.runs), PUBLISHED)
    write(pages_of(site), folder / SITE)
    (folder / CELLS).write_text(write_cells(site), encoding="utf-8")


def _newest(runs: Sequence[Run]) -> date:
    days = []
    for run in runs:
        for attempt in run.attempts:
            try:
                days.append(date.fromisoformat(attempt.record.ended[:10]))
            except ValueError:
                continue
    if not days:
        raise UserError("no record tells a date; give that of the release with --date YYYY-MM-DD")
    return max(days)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    """Return the digest of a file; a link has none, as it may lead out of the release."""
    return "a link" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def read_archive(folder: Path) -> Archive:
    """Return the releases in a folder.

    Raises:
        UserError: if there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give that of `paretune release ... --to FOLDER`")
    found: list[Release] = []
    problems: list[str] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            release = _read(place)
        except (OSError, ValueError) as error:
            problems.append(f"{place.name}/{MANIFEST}: not a release ({_reason(error)}); restore or remove its folder")
            continue
        if release.altered:
            named = ", ".join(release.altered[:3]) + (", ..." if len(release.altered) > 3 else "")
            problems.append(f"release {place.name} was altered: {named}; restore its files")
        found.append(release)
    found.sort(key=lambda release: (release.manifest.date, release.name), reverse=True)
    return Archive(tuple(found), tuple(problems))


def folder_of_records(folder: Path) -> Path:
    """Return where the records of a folder lie: its own place, or within it if it is a release.

    Raises:
        UserError: if it is a release that was altered, or cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        return folder
    try:
        release = _read(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / MANIFEST}: not a release ({_reason(error)}); restore its files") from error
    if release.altered:
        raise UserError(f"the release {folder} was altered: {', '.join(release.altered[:3])}; restore its files")
    return folder / RECORDS


def sets_of_records(folder: Path) -> list[Path]:
    """Return where records that were frozen together lie: one place for each release of a folder of releases.

    Raises:
        UserError: as ``folder_of_records``.
    """
    releases = sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
    return [folder_of_records(place) for place in releases or [folder]]


def _read(place: Path) -> Release:
    manifest = Manifest.model_validate_json((place / MANIFEST).read_text(encoding="utf-8"))
    if manifest.name != place.name:
        raise ValueError(f"it calls itself {manifest.name}")
    now = {name: digest for name, digest in _digests(place).items() if name != MANIFEST}
    altered = {name for name, _ in now.items() ^ manifest.files.items()}
    if altered:
        return Release(folder=place, manifest=manifest, altered=tuple(sorted(altered)))
    return Release(folder=place, manifest=manifest, cells=read_cells((place / CELLS).read_text(encoding="utf-8")))


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
