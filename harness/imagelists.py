"""Image lists: a split as a text file of image paths and labels beside a folder of images, as VTAB-1K is passed round.

Each line is ``images/train800/000012.jpg 7``: a path in the list's folder, white space, the number of the class. The
rows become those that the hub's Image feature gives: ``image`` (a struct of ``bytes`` and ``path``) and ``label``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.digest import file_digest
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    import pyarrow as pa


class Line(NamedTuple):
    """One image of a list."""

    path: str
    label: int


def read(place: Path) -> pa.Table:
    """Return the rows of a list, in its order.

    Raises:
        MissingPrerequisite: for a line that is none, or an image that is not there; by name.
    """
    import pyarrow as pa

    lines = parse(place)
    images = [{"bytes": (place.parent / line.path).read_bytes(), "path": line.path} for line in lines]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array(images, kind), "label": pa.array([line.label for line in lines], pa.int64())})


def parse(place: Path) -> list[Line]:
    """Return the lines of a list, every image of which is there.

    Raises:
        MissingPrerequisite: as ``read``.
    """
    lines = []
    for number, text in enumerate(place.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        path, _, label = text.strip().rpartition(" ")
        if not path or not label.isdecimal():
            raise MissingPrerequisite(
                f"{place}, line {number}: {text!r} is no image; write its path, a space, and the number of its class"
            )
        lines.append(Line(path.strip(), int(label)))
    outside = [line.path for line in lines if Path(line.path).is_absolute() or ".." in Path(line.path).parts]
    if outside:
        raise MissingPrerequisite(f"{place} names {outside[0]!r}, which lies outside its folder; use paths inside it")
    absent = [line.path for line in lines if not (place.parent / line.path).is_file()]
    if absent:
        raise MissingPrerequisite(
            f"{place} names {len(absent)} images that are not there, such as {absent[0]}; add them below "
            f"{place.parent}, or take their lines out"
        )
    return lines


def digest(place: Path) -> str:
    """Return the digest of a list: its lines, and the content of every image."""
    total = hashlib.sha256()
    for line in parse(place):
        total.update(f"{line.path} {line.label} {file_digest(place.parent / line.path)}\n".encode())
    return total.hexdigest()
