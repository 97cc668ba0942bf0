"""Cache: a folder of the user's for what is costly to make and can be made again; deleting it loses nothing.

``XDG_CACHE_HOME/paretune``, or ``~/.cache/paretune``. What is there is whole: it is made under another name first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from harness.errors import UnwritableFolder


def folder() -> Path:
    """Return the folder; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "paretune"


def made(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cached file or folder of a name, made first where it is not there.

    Processes that want the same one at the same time wait for the first.

    Args:
        name: path below the cache's folder; it names the content, so it holds a digest or a version.
        make: writes the file or folder at the path it is given, which does not exist yet but its parent does.

    Raises:
        UnwritableFolder: if the cache cannot be written.
    """
    place = folder() / name
    if place.exists():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place}.lock")
        lock.acquire()
    except OSError as error:
        raise UnwritableFolder(place.parent, error, "the environment variable XDG_CACHE_HOME") from error
    try:
        if not place.exists():
            with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as work:
                make(Path(work) / "made")
                os.replace(Path(work) / "made", place)
    finally:
        lock.release()
    return place
