"""What a site was built from, so that an unchanged one is not built again.

The state lies in the site's folder and names every file that the build wrote. It holds times of files and so differs
between two equal sites; it is no page, and is not published.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from harness.record import ITEMS_FILE, RECORD_FILE, STARTED_FILE
from harness.registry import ROOT

STATE = ".board.json"
DRAWS = ("altair", "jinja2", "numpy", "pyarrow", "pydantic", "scipy", "vl-convert-python")
"""Libraries that a page's bytes hang on."""
_INPUTS = {RECORD_FILE, ITEMS_FILE, STARTED_FILE}


class State(NamedTuple):
    """The last build of a site."""

    inputs: str
    """Digest of the records' paths, sizes and times, of the board's own code, and of what else was asked for."""
    outputs: str
    """Digest of the written files' sizes and times."""
    written: tuple[str, ...]
    num_records: int
    unreadable: tuple[str, ...]
    published: bool = False
    """Whether it ranks as a published board does."""


def read(out: Path) -> State | None:
    """Return the state of the last build; none where there is none, or it cannot be used."""
    with suppress(OSError, ValueError, TypeError):
        content = json.loads((out / STATE).read_text(encoding="utf-8"))
        state = State(**content)
        written, unreadable = (tuple(map(str, names)) for names in (state.written, state.unreadable))
        return state._replace(written=written, unreadable=unreadable, num_records=int(state.num_records))
    return None


def write(out: Path, state: State) -> None:
    """Keep the state of a build, whole or not at all."""
    temporary = out / f"{STATE}.{os.getpid()}.partial"
    temporary.write_text(json.dumps(state._asdict(), indent=0) + "\n", encoding="utf-8")
    temporary.replace(out / STATE)


def inputs_digest(folders: Sequence[Path], asked: object, releases: Path | None = None) -> str:
    """Return the digest of all that a build looks at; ``asked`` is written down by its ``repr``."""
    digest = hashlib.sha256(repr((asked, [version(name) for name in DRAWS])).encode())
    for folder in folders:
        digest.update(f"\n{folder.resolve()}".encode("utf-8", "surrogateescape"))
        for line in sorted(_facts(folder)):
            digest.update(line.encode("utf-8", "surrogateescape"))
    if releases is not None and releases.is_dir():
        for path in sorted(releases.rglob("*")):  # each of their files counts: one that was altered must be found
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    for path in sorted(path for package in ("leaderboard", "harness") for path in _sources(ROOT / package)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def outputs_digest(out: Path, written: Iterable[str]) -> str:
    """Return the digest of the written files as they are now; one that is gone counts as such."""
    digest = hashlib.sha256()
    for name in sorted(written):
        try:
            stat = (out / name).stat()
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            digest.update(f"{name} gone\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _facts(folder: Path) -> Iterator[str]:
    """Yield path, size and time of what a board reads below a folder."""
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name in _INPUTS:
                    stat = entry.stat()
                    yield f"{entry.path} {stat.st_size} {stat.st_mtime_ns}\n"


def _sources(package: Path) -> Iterator[Path]:
    """Yield the files of a package that pages are made of; published records are no code."""
    for place, folders, files in os.walk(package):
        folders[:] = sorted(set(folders) - {"records", "__pycache__"})
        yield from (Path(place) / name for name in files)
