"""Commands that supply a machine without a network: ``mirror``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

OK, NOT_OK = 0, 1


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(mirror)


def mirror(
    suite: Annotated[str, typer.Argument(help="A shipped suite's name or a YAML file.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the mirror; made, and completed if there.")],
    only: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--only", help="Filter such as task=glue/rte."),
    ] = None,
    source: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--mirror", help="Take the rows from another mirror and not from the hub."),
    ] = None,
) -> None:
    """Fetch the data and weights that a suite reads, for a machine without a network."""
    from harness.api import load_suite
    from harness.data import DataSource
    from runners.mirror import fill

    specs = load_suite(suite, only).specs
    failed = False
    for found in fill(specs, DataSource(Path(source)) if source else DataSource(), folder):
        typer.echo(f"{found.outcome:<10}  {found.what}  {found.detail}", err=found.outcome == "failed")
        failed = failed or found.outcome == "failed"
    typer.echo(f"use it with: --mirror {folder}, or PARETUNE_MIRROR={folder}")
    raise typer.Exit(NOT_OK if failed else OK)
