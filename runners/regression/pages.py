"""Pages: the bytes of every file of the board that is built from a few records that never change."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from harness.errors import MissingPrerequisite

ABOUT = "File of the board of the fixed records beside this folder to the beginning of its SHA-256; of a PNG its size."
NEEDS = ("altair", "vl-convert-python", "jinja2", "numpy", "scipy", "pyarrow")
RECORDS = "records"
"""The folder of the fixed records, beside the committed values."""

Build = Callable[[Sequence[Path], Path], object]
"""Builds a board of the records in some folders into another; the board's, which this side does not know."""


def values(folder: Path, build: Build) -> dict[str, JsonValue]:
    """Return a digest of every file of the board.

    Args:
        folder: the folder of committed values.
        build: builds the board.

    Raises:
        MissingPrerequisite: if the fixed records are not there.
    """
    records = folder / RECORDS
    if not any(records.rglob("record.json")):
        raise MissingPrerequisite(f"{records}: no records to build a board of; restore the folder from its repository")
    with tempfile.TemporaryDirectory(prefix="paretune-regression-") as scratch:
        site = Path(scratch) / "site"
        build([records], site)
        files = sorted(path for path in site.rglob("*") if path.is_file() and not _hidden(path, site))
        return {path.relative_to(site).as_posix(): _digest(path) for path in files}


def _hidden(path: Path, site: Path) -> bool:
    """Return whether a file is the board's own note of what it wrote, which no reader sees."""
    return any(part.startswith(".") for part in path.relative_to(site).parts)


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".png":  # its letters are drawn with the fonts of the machine; those of an SVG are text
        return "{} x {} pixels".format(*struct.unpack(">II", content[16:24]))
    return hashlib.sha256(content).hexdigest()[:16]
