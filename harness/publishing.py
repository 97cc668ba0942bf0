"""The commands ``release`` and ``publish``, and what leaves this machine: the files that the board wrote, no others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple, Optional

import typer

from harness.errors import UserError
from harness.options import name_unreadable

KEPT = ("CNAME",)
"""Files of a target that no board writes and that stay: a host keeps its domain there."""
NOT_BOARDS = "holds {}, which no board wrote; publish to another place, or move that away"


class BadTarget(UserError):
    """A place that a site cannot be published to."""


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(release)
    app.command("publish")(publish_command)


def release(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of all releases.")],
    name: Annotated[str, typer.Option("--name", help="Of this release, such as 2026.11; never one that exists.")],
    day: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option("--date", formats=["%Y-%m-%d"], help="Its date; that of the newest record by default."),
    ] = None,
) -> None:
    """Freeze records and their board; a board built with --releases says what moved since."""
    from harness import api

    frozen = api.release(folders, to, name, date(day.year, day.month, day.day) if day else None)
    typer.echo(f"{frozen.num_records} records")
    typer.echo(f"the release is {frozen.folder.resolve()}")
    name_unreadable(frozen.unreadable)


def publish_command(
    site: Annotated[Path, typer.Argument(help="A site that `paretune board --published` built.")],
    to: Annotated[str, typer.Option("--to", help="A folder, hub:OWNER/SPACE, or gh-pages.")],
    remote: Annotated[str, typer.Option("--remote", help="Where gh-pages is pushed to, if it is there.")] = "origin",
) -> None:
    """Publish a site: copy it to a folder, to a static Space of the hub, or to a Pages branch."""
    typer.echo(publish(site, to, remote))


def publish(site: Path, to: str, remote: str = "origin") -> str:
    """Publish a site and return one line that says what was done.

    Args:
        site: the folder of a built board.
        to: a folder, ``hub:OWNER/SPACE`` or ``gh-pages`` (a branch of the repository that the current folder is in).
        remote: for ``gh-pages``.

    Raises:
        UserError: if there is no such site, the target holds something else, or it cannot be reached.
    """
    files = files_of(site)
    if to.startswith("hub:"):
        from harness.space import to_space

        return to_space(files, to.removeprefix("hub:"))
    if to == "gh-pages":
        from harness.branch import to_branch

        return to_branch(files, Path.cwd(), remote)
    if not to or (":" in to and not Path(to).exists()):
        raise BadTarget(f"cannot publish to {to!r}; take a folder, hub:OWNER/SPACE or gh-pages")
    return to_folder(files, site, Path(to))


class Files(NamedTuple):
    """What is published."""

    paths: Mapping[str, Path]
    """Name in the site, with ``/``, to the file."""
    listing: bytes
    """The list that marks a place as a board's, and names every file that a board wrote there."""


LISTING = "board-files.txt"
"""Name of that list where a site was published."""


def files_of(site: Path) -> Files:
    """Return the files of a site that its board wrote; whatever else lies in the folder stays here.

    Raises:
        UserError: if the folder is no site, or one of its files is gone or leads elsewhere.
    """
    from leaderboard.state import read

    state = read(site)
    if state is None or not state.published:
        what = "is not a site" if state is None else "ranks what a published board leaves out"
        raise UserError(f"{site} {what}; build it with: paretune board DIR... --out {site} --published")
    paths: dict[str, Path] = {}
    for name in state.written:
        path = site / name
        parts = PurePosixPath(name).parts
        inside = path.resolve().is_relative_to(site.resolve()) and ".." not in parts
        if not inside or path.is_symlink() or not path.is_file():
            raise UserError(f"{path} is not the file that the board wrote; build the site again")
        paths[name] = path
    return Files(paths, "".join(f"{name}\n" for name in sorted(paths)).encode())


def foreign(found: Iterable[str], listing: str | None) -> str | None:
    """Return a file of a target that no board wrote there, None where there is none.

    Args:
        found: names of the target's files.
        listing: its list of a board's files, None where it has none.
    """
    known = {LISTING, ".nojekyll", *KEPT, *(listing or "").splitlines()}
    return min((name for name in found if name not in known), default=None)


def to_folder(files: Files, site: Path, target: Path) -> str:
    """Copy a site to a folder, which holds the old board or the new one whole, and never anything else's place."""
    target = target.resolve()
    if target.is_relative_to(site.resolve()) or site.resolve().is_relative_to(target):
        raise BadTarget(f"{target} and the site {site} lie inside each other; publish to another folder")
    kept = _check_folder(target)
    partial, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("partial", "old"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for name, path in {**files.paths, **kept}.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / name)
        (partial / LISTING).write_bytes(files.listing)
        _exchange(partial, target, old)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror or error}); publish to another folder") from error
    finally:
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
    return f"{len(files.paths)} files are in {target}"


def _check_folder(target: Path) -> dict[str, Path]:
    """Return what stays of a folder that is there; refuse one that is not a board's."""
    if not target.exists():
        return {}
    if not target.is_dir():
        raise BadTarget(f"{target} is a file; publish to a folder")
    listing = target / LISTING
    found = [path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_symlink() or path.is_file()]
    strange = foreign(found, listing.read_text(encoding="utf-8") if listing.is_file() else None)
    if strange is not None:
        raise BadTarget(f"{target} {NOT_BOARDS.format(strange)}")
    return {name: target / name for name in KEPT if (target / name).is_file()}


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Put a folder into another's place; if that fails the other is put back."""
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
