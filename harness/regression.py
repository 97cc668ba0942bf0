"""The command ``regression``: is everything still what it was? Nothing heavy is loaded before use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from harness.options import AsJson

VALUES = Path("tests") / "regression"
"""Where a checkout keeps the committed values."""


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(regression)


def regression(
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--only", help="A group, or the beginning of some: exact, exact/metrics, micro; repeatable."),
    ] = None,
    methods: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--method", help="Train this method only; repeatable."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Write the values as they are now, and print what changed.")
    ] = False,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--values", help="Folder of the committed values; tests/regression of the checkout by default."),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--workers", min=1, help="Processes; by default what the cores serve, at most 2."),
    ] = None,
    junit: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--junit", help="Also write JUnit XML to this file."),
    ] = None,
    markdown: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--markdown", help="Also write a comment for a pull request to this file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold metrics, counts, draws, rows, run ids, pages and short trainings against committed values."""
    from harness.environment import limit_threads
    from harness.gate import deliver
    from harness.registry import ROOT

    limit_threads(1)
    import torch

    torch.set_num_threads(1)
    from leaderboard.page import build_board
    from runners.local import default_workers
    from runners.regression.gate import Gate

    found = Gate(
        folder=folder or ROOT / VALUES,
        build=build_board,
        workers=workers or min(2, default_workers(1)),
        only=tuple(only or ()),
        methods=tuple(methods or ()),
        accepting=accept,
        say=lambda line: typer.echo(line, err=True),
    ).run()
    deliver(found, as_json=as_json, junit=junit, markdown=markdown)
