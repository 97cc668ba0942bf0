"""The command ``submission``: predictions for a benchmark's test server; nothing heavy is loaded before use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

NOT_OK = 1


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(submission)


def submission(
    family: Annotated[str, typer.Argument(help="glue or superglue.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the files; made, and never overwritten.")],
    folders: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--out", help="Where to look for runs; repeatable."),
    ] = None,
    only: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--only", help="Which runs, such as method=lora,backbone=REFERENCE,seed=0."),
    ] = None,
    mirror: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--mirror", help="Local copy of the data in hub layout; PARETUNE_MIRROR by default."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Write the files that a benchmark's test server takes, from kept finals."""
    from harness.data import DataSource
    from harness.environment import limit_threads
    from harness.matrix import parse_only

    source, filters = DataSource.of(mirror), parse_only(only)
    limit_threads(1)
    from harness.devices import resolve_device
    from runners.submission import submit

    places = folders or [Path("out"), Path("leaderboard/records")]
    found = submit(family, places, folder, source, filters, resolve_device(device))
    if as_json:
        typer.echo(
            json.dumps({"written": [row._asdict() for row in found.written], "missing": found.missing}, indent=1)
        )
    else:
        for row in found.written:
            stale = f"  STALE: {row.stale}" if row.stale else ""
            run = f"run {row.run_id}, {row.method} on {row.backbone}, seed {row.seed}"
            typer.echo(f"{row.file:<14} {row.rows:>6} rows of {row.task}  ({run}){stale}")
        for file, reason in found.missing.items():
            typer.echo(f"{file:<14} NOT WRITTEN  {reason}")
        typer.echo(f"the files are in {folder}")
    if found.missing:
        raise typer.Exit(NOT_OK)
