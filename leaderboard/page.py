"""The board: static pages that are a function of records alone, equal byte for byte whenever the records are.

No page needs a script, a network or a server. Nothing that a record says reaches a page unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from leaderboard import paths
from leaderboard.load import load_records
from leaderboard.site import NOTHING, Page, Site, makers

STATIC = Path(__file__).parent / "static"
WRITTEN = ".board.json"
"""Names what the last build wrote, so that the next one removes what is no longer wanted and nothing else."""


class BoardSummary(NamedTuple):
    """What was built."""

    page: Path
    num_records: int
    unreadable: list[str]
    """One message for each file that could not be used; the rest was."""


def build_board(folders: Sequence[Path], out: Path, stale: Mapping[str, str] = NOTHING) -> BoardSummary:
    """Write the board of all records under some folders.

    Args:
        folders: where records lie, at any depth.
        out: the site's folder; made if needed.
        stale: run id to the reason why it is not what today's code and cards would give; such runs are marked.

    Raises:
        MissingPrerequisite: if a folder does not exist.
    """
    site = Site.of(load_records(folders), stale)
    write(_pages(site), out)
    return BoardSummary(out / paths.INDEX, site.loaded.num_records, list(site.unreadable))


def _pages(site: Site) -> Iterator[Page]:
    for file in sorted(STATIC.iterdir()):
        yield Page(f"static/{file.name}", file.read_bytes())
    for pages in makers():
        yield from pages(site)


def write(pages: Iterable[Page], out: Path) -> None:
    """Write pages below a folder; remove those of an earlier build that are not among them."""
    earlier = _written(out)
    now: list[str] = []
    for page in pages:
        place = out / page.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(page.content if isinstance(page.content, bytes) else page.content.encode("utf-8"))
        now.append(page.path)
    for old in earlier - set(now):
        (out / old).unlink(missing_ok=True)
    (out / WRITTEN).write_text(json.dumps(sorted(now), indent=0) + "\n", encoding="utf-8")


def _written(out: Path) -> set[str]:
    """Return the files of the last build; a list that was edited must not reach beyond the site."""
    with suppress(OSError, ValueError, TypeError):
        names = json.loads((out / WRITTEN).read_text(encoding="utf-8"))
        return {name for name in map(str, names) if (out / name).resolve().is_relative_to(out.resolve())}
    return set()
