"""The command ``compare``: new records against a baseline, with four outcomes."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from harness.options import AsJson


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(compare)


def compare(
    base: Annotated[Path, typer.Argument(help="Folder of the baseline's records, or a release.")],
    new: Annotated[Path, typer.Argument(help="Folder of the new records, or a release.")],
    history: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--history", help="Earlier records or releases, which say how seeds vary; repeatable."),
    ] = None,
    margin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--margin",
            help="Largest drop tolerated: points for metrics in % (1 by default), or METRIC=NUMBER in that metric's "
            "own units (0.1 by default for those not in %); repeatable.",
        ),
    ] = None,
    waivers: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--waivers", help="YAML list of cell, reason, owner and expires."),
    ] = None,
    today: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option("--today", formats=["%Y-%m-%d"], help="The day that waivers are looked at; the clock's if none."),
    ] = None,
    as_json: AsJson = False,
    junit: Annotated[Optional[Path], typer.Option("--junit", help="Also write JUnit XML here.")] = None,  # noqa: UP045
    markdown: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--markdown", help="Also write a comment for a pull request here."),
    ] = None,
) -> None:
    """Say which cells are worse than a baseline by more than a margin and chance explain.

    Ends with 0 (pass), 1 (fail), 3 (inconclusive) or 4 (no data); 2 is bad input.
    """
    from harness.freshness import Freshness
    from harness.gate import deliver
    from leaderboard.comparison import Asked, compare_records
    from leaderboard.regressions import parse_margins
    from leaderboard.waivers import read_waivers

    asked = Asked(
        base,
        new,
        tuple(history or ()),
        parse_margins(margin or ()),
        read_waivers(waivers) if waivers else (),
        today.date() if today else date.today(),
    )
    found = compare_records(asked, Freshness())
    deliver(found.report, as_json=as_json, junit=junit, markdown=markdown, text="\n".join(found.lines()))
