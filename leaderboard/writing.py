"""Pages to files, by several processes where there are many: a page is made when it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from leaderboard.crew import Crew
from leaderboard.site import Page

AT_ONCE = 16
"""Pages that a process takes at a time."""
ENOUGH = 25
"""Times so many pages are worth another process."""


def write(pages: Iterable[Page], out: Path) -> tuple[str, ...]:
    """Write pages below a folder; return their paths.

    The leading ones whose content is a function are made by other processes too, while this one goes on with the rest.

    Raises:
        RuntimeError: if one of the other processes failed; it has said why.
    """
    rest, alone = iter(pages), []
    for page in rest:
        if not callable(page.content):
            rest = chain([page], rest)
            break
        alone.append(page)

    def write_all(some: Iterable[Page]) -> list[str]:
        return [_write_one(page, out) for page in some]

    parts: list[Sequence[Page]] = [alone[begin : begin + AT_ONCE] for begin in range(0, len(alone), AT_ONCE)]
    with Crew(write_all, parts, ENOUGH) as crew:
        written = write_all(rest)
        return tuple(sorted(chain(written, *crew.results())))


def _write_one(page: Page, out: Path) -> str:
    place, content = out / page.path, page.to_bytes()
    try:
        place.write_bytes(content)
    except FileNotFoundError:  # asked afterwards, as thousands of pages share a folder
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return page.path
