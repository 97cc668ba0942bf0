"""Found: the records that lie under some folders, read without a tensor library and without the board's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from harness.errors import MissingPrerequisite
from harness.record import RECORD_FILE, Record, UnreadableRecord, read_record, uncollected
from harness.registry import ROOT

PUBLISHED = ROOT / "leaderboard" / "records"
"""The project's own records; absent where only the wheel is installed."""


class Found(NamedTuple):
    """One record and where it lies."""

    record: Record
    folder: Path


class Contents(NamedTuple):
    """What lies in some folders."""

    runs: dict[str, list[Found]]
    """Run id to its attempts, oldest first."""
    unreadable: list[str]
    """One message for each file that is no record."""


@uncollected()
def contents(folders: Iterable[Path], most: int | None = None) -> Contents:
    """Read every ``record.json`` under some folders, however deep.

    Args:
        folders: where to look.
        most: how many records of each folder are read at the most.

    Raises:
        MissingPrerequisite: if a folder is not there.
    """
    runs: dict[str, list[Found]] = {}
    unreadable: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingPrerequisite(f"there is no folder {folder}; give the output folder of a run, or of a release")
        places = (place for place, files in listed(folder) if RECORD_FILE in files)
        for path in (Path(place, RECORD_FILE) for place in sorted(islice(places, most))):
            try:
                record = read_record(path)
            except UnreadableRecord as error:
                unreadable.append(f"{error}; remove its attempt folder, or restore the file")
                continue
            runs.setdefault(record.run_id, []).append(Found(record, path.parent))
    for attempts in runs.values():
        attempts.sort(key=lambda found: (found.record.attempt, found.record.started))
    return Contents(runs, unreadable)


def listed(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder below one, however deep, with the names of its files."""
    for place, _, files in os.walk(folder):  # several times as quick as a glob, which thousands of runs show
        yield place, files


def result(attempts: list[Found]) -> Found:
    """Return the newest ok attempt of a run, else its newest."""
    return ([found for found in attempts if found.record.status == "ok"] or attempts)[-1]
