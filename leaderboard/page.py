"""The board: static pages that are a function of records alone, equal byte for byte whenever the records are.

No page needs a script, a network or a server. Nothing that a record says reaches a page unescaped.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from leaderboard import paths, state

if TYPE_CHECKING:
    from leaderboard.site import Judge, Page, Site

STATIC = Path(__file__).parent / "static"


class BoardSummary(NamedTuple):
    """What was built."""

    page: Path
    num_records: int
    unreadable: list[str]
    """One message for each file that could not be used; the rest was."""


def build_board(
    folders: Sequence[Path], out: Path, judge: Judge | None = None, releases: Path | None = None
) -> BoardSummary:
    """Write the board of all records under some folders; one that is as it would be written is left as it is.

    Args:
        folders: where records lie, at any depth.
        out: the site's folder; made if needed.
        judge: says which results are stale; without one nothing is.
        releases: the folder of frozen releases that the archive tells of.

    Raises:
        MissingPrerequisite: if a folder does not exist.
    """
    last, key = state.read(out), judge.key() if judge else ""
    inputs = state.inputs_digest([folder for folder in folders if folder.is_dir()], key, releases)
    if last is None or last.inputs != inputs or last.outputs != state.outputs_digest(out, last.written):
        with _without_collection():
            last = _build(folders, out, judge, releases, inputs, last)
    return BoardSummary(out / paths.INDEX, last.num_records, list(last.unreadable))


def _build(
    folders: Sequence[Path],
    out: Path,
    judge: Judge | None,
    releases: Path | None,
    inputs: str,
    last: state.State | None,
) -> state.State:
    from leaderboard.load import load_records  # here, so that an unchanged site loads nothing
    from leaderboard.releases import Archive, read_archive
    from leaderboard.site import Site, Trust
    from leaderboard.writing import write

    loaded = load_records(folders)
    archive = read_archive(releases) if releases else Archive()
    site = Site.of(loaded, (judge or Trust()).stale(run.record for run in loaded.runs), archive)
    written = write(pages_of(site), out)
    for old in set(last.written if last else ()) - set(written):
        if (out / old).resolve().is_relative_to(out.resolve()):  # a list that was edited must not reach beyond the site
            (out / old).unlink(missing_ok=True)
    made = state.State(inputs, state.outputs_digest(out, written), written, loaded.num_records, site.unreadable)
    state.write(out, made)
    return made


def pages_of(site: Site) -> Iterator[Page]:
    """Yield every file of a site."""
    from leaderboard.site import Page, makers

    for pages in makers():
        yield from pages(site)
    for file in sorted(STATIC.iterdir()):
        yield Page(f"static/{file.name}", file.read_bytes())


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let the garbage collector rest: walking through ten thousand records again and again takes a third of a build."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
