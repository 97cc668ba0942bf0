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


class Asked(NamedTuple):
    """What a board is to be, besides its records."""

    releases: Path | None = None
    """The folder of frozen releases that the archive tells of."""
    published: bool = False
    """Whether the world will read it, which ranks less: see ``leaderboard.cells.Mode``."""


PLAIN = Asked()


def build_board(folders: Sequence[Path], out: Path, judge: Judge | None = None, asked: Asked = PLAIN) -> BoardSummary:
    """Write the board of all records under some folders; one that is as it would be written is left as it is.

    Args:
        folders: where records lie, at any depth.
        out: the site's folder; made if needed.
        judge: says which results are stale; without one nothing is.
        asked: what else the board is to be.

    Raises:
        MissingPrerequisite: if a folder does not exist.
        UserError: if there is no folder of releases where one was named.
    """
    last, key = state.read(out), (judge.key() if judge else "", asked)
    inputs = state.inputs_digest([folder for folder in folders if folder.is_dir()], key, asked.releases)
    if last is None or last.inputs != inputs or last.outputs != state.outputs_digest(out, last.written):
        with _without_collection():
            made = _build(folders, out, judge, asked)
        for old in set(last.written if last else ()) - set(made.written):
            if (out / old).resolve().is_relative_to(out.resolve()):  # an edited list must not reach beyond the site
                (out / old).unlink(missing_ok=True)
        last = made._replace(inputs=inputs)
        state.write(out, last)
    return BoardSummary(out / paths.INDEX, last.num_records, list(last.unreadable))


def _build(folders: Sequence[Path], out: Path, judge: Judge | None, asked: Asked) -> state.State:
    from threadpoolctl import threadpool_limits  # here, so that an unchanged site loads nothing

    from leaderboard.cells import Mode
    from leaderboard.load import load_records
    from leaderboard.releases import Archive, read_archive
    from leaderboard.site import Site, Trust
    from leaderboard.writing import write

    # The last bits of a product of matrices hang on how many threads share it; and forks fill the cores already.
    with threadpool_limits(1, user_api="blas"):
        loaded = load_records(folders)
        stale = (judge or Trust()).stale(run.record for run in loaded.runs)
        archive = read_archive(asked.releases) if asked.releases else Archive()
        site = Site.of(loaded, stale, Mode(asked.published), archive)
        written = write(pages_of(site), out)
    outputs = state.outputs_digest(out, written)
    return state.State("", outputs, written, loaded.num_records, site.unreadable, asked.published)


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
