"""The ``paretune`` command: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import atexit
import gc
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer

from harness import comparing, folders, papers, publishing, regression, running, submission, supply, workshop
from harness.options import INTERRUPTED, NOT_OK, OK, AsJson, Mirror, fail, name_unreadable

app = typer.Typer(
    name="paretune",
    help="Fine-tune pretrained models with many parameter-efficient methods on many tasks; publish what was measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Run the command line; an error that the user can mend is printed without a traceback and exits with 2."""
    from harness.errors import StoppedEarly, UserError
    from harness.registry import check_packages

    atexit.register(gc.freeze)  # else the end of each command that loaded torch is a second of looking for garbage
    try:
        check_packages()
        app()
    except StoppedEarly as error:
        fail(str(error), NOT_OK)
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(OK)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Hold the options that stand before a command."""
    if show:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            typer.echo(f"paretune {installed('paretune')}")
        except PackageNotFoundError:
            typer.echo("paretune, run from a folder that is not installed")
        raise typer.Exit


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="methods, tasks, backbones or suites.")],
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Show what is registered."""
    from harness import listing
    from harness.errors import UnknownName

    kinds = {
        "methods": listing.methods,
        "tasks": lambda: listing.tasks(mirror),
        "backbones": listing.backbones,
        "suites": listing.suites,
    }
    if kind not in kinds:
        raise UnknownName("kind", kind, kinds, "list")
    rows = kinds[kind]()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    if kind == "tasks":
        for line in listing.task_lines(rows):
            typer.echo(line)
        return
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['title']}")


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(help="A run id, or the beginning of one.")],
    folders: Annotated[Optional[list[Path]], typer.Option("--out", help="Where to look; repeatable.")] = None,  # noqa: UP045
    as_json: AsJson = False,
) -> None:
    """Show what is known of one run."""
    from harness import listing

    found = listing.find_run(run_id, folders or [Path("out"), Path("leaderboard/records")])
    if as_json:
        typer.echo(found.record.to_json(), nl=False)
        return
    for line in listing.describe_run(found):
        typer.echo(line)


@app.command()
def board(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the site.")] = Path("site"),
    releases: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--releases", help="Folder of frozen releases, for the archive."),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="For the world: a dirty checkout and carved data do not rank.")
    ] = False,
) -> None:
    """Build the leaderboard from records and print where its page is."""
    from harness.api import build_board

    built = build_board(folders, out, releases=releases, published=published)
    typer.echo(f"{built.num_records} records")
    typer.echo(f"the page is {built.page.resolve()}")
    name_unreadable(built.unreadable)


running.mount(app)
folders.mount(app)
supply.mount(app)
workshop.mount(app)
submission.mount(app)
publishing.mount(app)
papers.mount(app)
regression.mount(app)
comparing.mount(app)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this installation and say what is missing and how to get it."""
    from harness.doctor import diagnose

    checks = diagnose()
    if as_json:
        typer.echo(json.dumps([check._asdict() for check in checks], indent=1))
    for check in checks if not as_json else ():
        typer.echo(f"{'ok ' if check.ok else 'NO ' if check.needed else '-- '} {check.name:<12} {check.detail}")
    raise typer.Exit(OK if all(check.ok for check in checks if check.needed) else NOT_OK)


if __name__ == "__main__":
    main()
