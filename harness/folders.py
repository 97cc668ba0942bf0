"""Commands about folders of runs: ``status``, ``reproduce``, ``clean``; heavy imports wait for use."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from harness.options import INCONCLUSIVE, NO_DATA, NOT_OK, OK, AllowCode, AsJson, Device, Mirror, fail, name_unreadable

if TYPE_CHECKING:
    from harness.api import Observer
    from runners.watched import Watched


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(status)
    app.command()(reproduce)
    app.command()(clean)


def status(folder: Annotated[Path, typer.Argument(help="A folder of runs.")], as_json: AsJson = False) -> None:
    """Count the runs of a folder by status and show what runs there now; it only reads."""
    from runners.status import look

    found = look(folder)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1))
    else:
        for line in found.lines():
            typer.echo(line)
    name_unreadable(found.unreadable)


def reproduce(
    run_id: Annotated[str, typer.Argument(help="A run id, or the beginning of one.")],
    folders: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--out", help="Where to look for its record, and those of other seeds; repeatable."),
    ] = None,
    into: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--into", help="Folder of the new record, empty or not there yet; a temporary one by default."),
    ] = None,
    mirror: Mirror = None,
    device: Device = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run a record's spec again, and say which numbers came back and what differs in what made them."""
    from rich.console import Console

    from harness.environment import limit_threads
    from harness.errors import NoData
    from runners.reproduce import look_up
    from runners.summary import describe

    places = folders or [Path("out"), Path("leaderboard/records")]
    try:
        spec = look_up(run_id, places).recorded.spec
        limit_threads(spec.threads)  # before anything loads a numerical library
        from harness.single import reproduce as again
        from runners.progress import Progress

        where = (into or Path(tempfile.mkdtemp(prefix="paretune-reproduced-"))).resolve()
        typer.echo(f"run {spec.run_id}: {describe(spec)} on {spec.backbone}, again in {where}", err=True)
        with ExitStack() as shown:
            # The run's log takes what this process prints to standard error; the view has its own way there.
            screen = shown.enter_context(os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding))
            console = Console(file=screen, highlight=False)

            def observe(watched: Watched) -> Observer:
                return shown.enter_context(Progress(console, watched))

            found = again(run_id, places, where, mirror, device, observe)
    except NoData as error:
        fail(str(error), NO_DATA)
    if as_json:
        typer.echo(json.dumps({**found.as_json(), "folder": str(where)}, indent=1))
    else:
        for line in found.lines():
            typer.echo(line)
    raise typer.Exit({"outside": NOT_OK, "inconclusive": INCONCLUSIVE}.get(found.verdict, OK))


def clean(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove lost and cancelled attempts of runs that have a newer ok one; nothing else is ever removed."""
    from runners.sweep import hold, remove, superseded

    if not folder.is_dir():
        fail(f"{folder} is not a folder; name the folder of a suite's runs, such as out/quick")
    with hold(folder.resolve()):
        found = superseded(folder.resolve())
        for attempt in found:
            typer.echo(f"{attempt.run_id}/{attempt.number:03}")
        if not found:
            typer.echo("nothing to remove")
        elif yes or typer.confirm(f"remove these {len(found)} attempts?"):
            remove(found)
            typer.echo(f"removed {len(found)} attempts")
