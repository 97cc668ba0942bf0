"""The command ``paper``: a paper's reported numbers beside what has been measured, and the verdict on its claim."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from harness.options import AsJson, name_unreadable

if TYPE_CHECKING:
    from leaderboard.papers import Line, Report
    from leaderboard.reported import Average

MEAN = "a mean over tasks, and no record is of several"
FOLDERS = (Path("out"), Path("leaderboard/records"))


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(paper)


def paper(
    name: Annotated[str, typer.Argument(help="random_masking, fish, pst, goft or lora.")],
    folders: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--out", help="Folder of runs; repeatable. By default out and leaderboard/records."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a paper reported beside what has been measured, and what the records say of its claim."""
    from harness.api import paper as known

    found, unreadable = known(name, folders or [folder for folder in FOLDERS if folder.is_dir()])
    if as_json:
        typer.echo(json.dumps(as_facts(found), indent=1))
    else:
        for line in text(found):
            typer.echo(line)
    name_unreadable(unreadable)


def as_facts(found: Report) -> dict[str, object]:
    """Return a report for machines; fractions, as records have them."""
    lines = [
        {
            **{key: value for key, value in line.number._asdict().items() if key != "backbones"},
            "backbones": list(line.number.backbones),
            "measured": line.measured._asdict() if line.measured else None,
            "gap": line.gap,
            "not_comparable": line.reason or None,
        }
        for line in found.lines
    ]
    verdicts = [verdict._asdict() for verdict in found.verdicts]
    means = [one._asdict() | {"not_comparable": MEAN} for one in found.averages]
    left_out = list(found.left_out)
    return {"title": found.title, "numbers": lines, "averages": means, "left_out": left_out, "verdicts": verdicts}


def text(found: Report) -> Iterator[str]:
    """Yield a report for people."""
    yield found.title
    if not found.lines:
        yield "no number that it reports of a single task is known here"
    yield from found.left_out
    before = ""
    for line in found.lines:
        one = line.number
        head = f"{one.task} {one.metric} ({one.split or 'split not stated'}), {one.backbones[0]}"
        if head != before:
            yield f"\n{head}"
        before = head
        yield f"  {_described(line)}"
    for mean in found.averages:
        head = f"{mean.task}, {mean.backbone}"
        if head != before:
            yield f"\n{head}"
        before = head
        yield f"  {_sized(mean):<28} reported {mean.value:.4g}  not comparable: {MEAN}"
    yield ""
    if not found.verdicts:
        yield "verdict: none, no record of a suite that asks its question"
    for verdict in found.verdicts:
        yield f"verdict: {verdict.outcome}: {verdict.claim} ({verdict.suite}, {verdict.backbone})"
        yield from (f"  {line}" for line in verdict.evidence)


def _sized(one: Average) -> str:
    size = f"{one.trained:,.0f} trained" if one.trained is not None else f"{one.fraction:.3%}" if one.fraction else ""
    return ", ".join(filter(None, [one.label, size]))


def _described(line: Line) -> str:
    one, own = line.number, line.measured
    told = f"{one.label:<28} reported {one.value:.4g}"
    if own and own.value is not None:
        told += f"  measured {own.value:.4g} ({own.num_seeds} seed{'s' if own.num_seeds > 1 else ''})"
    return f"{told}  gap {line.gap:+.4f}" if line.gap is not None else f"{told}  not comparable: {line.reason}"
