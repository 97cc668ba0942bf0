"""Commands for authors of methods: ``check``, ``new``, ``bench`` and ``export``; nothing heavy is loaded before use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from runners.check import Finding

OK, NOT_OK = 0, 1
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
SHOWN = {"kept": "kept", "broken": "BROKEN", "not_applicable": "n.a."}

check = typer.Typer(no_args_is_help=True)
new = typer.Typer(no_args_is_help=True)


class DType(str, Enum):
    """Types of frozen weights."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(check, name="check")
    app.add_typer(new, name="new")
    app.command()(bench)
    app.command()(export)


@check.callback()
def _check() -> None:
    """Check a method, a third party's too, against the contract."""


@new.callback()
def _new() -> None:
    """Write the starting files of a method of your own."""


@check.command("method")
def check_method(
    name: Annotated[str, typer.Argument(help="A registered method, a third party's too.")],
    backbone: Annotated[str, typer.Option("--backbone", help="Reference of a backbone.")] = "tiny:bert",
    all_architectures: Annotated[
        bool, typer.Option("--all-architectures", help="Check on a tiny backbone of each architecture.")
    ] = False,
    device: Device = "cpu",
    dtype: Annotated[DType, typer.Option("--dtype", help="Type of the frozen weights.")] = DType.FLOAT32,
    as_json: AsJson = False,
) -> None:
    """Check every promise of the method contract; say which are kept, which broken, and why."""
    from harness import registry, tiny
    from harness.backbone import locate
    from harness.environment import limit_threads

    registry.find("method", name)
    references = [f"tiny:{one}" for one in tiny.ARCHITECTURES] if all_architectures else [backbone]
    for reference in references:
        locate(reference)
    limit_threads(1)
    import torch

    from harness.api import resolve_device
    from runners.check import check_method as run_check

    frozen = torch.bfloat16 if dtype is DType.BFLOAT16 else torch.float32
    found: dict[str, tuple[Finding, ...]] = {}
    for reference in references:
        found[reference] = run_check(name, reference, device=resolve_device(device), dtype=frozen)
        if not as_json:
            _print_findings(name, reference, found[reference])
    if as_json:
        rows = {reference: [one._asdict() for one in findings] for reference, findings in found.items()}
        typer.echo(json.dumps({"method": name, "backbones": rows}, indent=1))
    if any(one.outcome == "broken" for findings in found.values() for one in findings):
        raise typer.Exit(NOT_OK)
    inapplicable = [findings for findings in found.values() if not _applies(findings)]
    if len(inapplicable) == len(found):
        from harness.errors import UserError

        raise UserError(f"method {name!r} is not applicable to {', '.join(found)}: {inapplicable[0][-1].detail}")


def _applies(findings: Sequence[Finding]) -> bool:
    return any(one.outcome == "kept" for one in findings[1:])  # the card is no promise about a backbone


def _print_findings(name: str, reference: str, findings: Sequence[Finding]) -> None:
    counts = [sum(one.outcome == outcome for one in findings) for outcome in SHOWN]
    typer.echo(f"{name} on {reference}: {counts[0]} kept, {counts[1]} broken, {counts[2]} not applicable")
    width = max(len(one.promise) for one in findings)
    for one in findings:
        typer.echo(f"  {SHOWN[one.outcome]:<6}  {one.promise:<{width}}  {one.detail}")


@new.command("method")
def new_method(
    name: Annotated[str, typer.Argument(help="What it will be registered as, such as my_method.")],
    out: Annotated[
        Path, typer.Option("--out", help="A checkout of this project, or a folder that gets a package.")
    ] = Path(),
) -> None:
    """Write a commented starting file and its test; both work as they are."""
    from harness import registry
    from harness.scaffold import is_checkout
    from harness.scaffold import new_method as write

    for path in write(name, out, registry.methods()):
        typer.echo(f"wrote {path}")
    if not is_checkout(out):
        typer.echo(f"install it with: python -m pip install --editable {out / ('paretune-' + name.replace('_', '-'))}")
    typer.echo(f"check it with: paretune check method {name}")


def bench(
    backbone: Annotated[str, typer.Option("--backbone", help="Reference of a backbone.")] = "tiny:bert@768x12",
    methods: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--methods", help="Names with commas; by default all but members of families."),
    ] = None,
    targets: Annotated[str, typer.Option("--targets", help="Names with commas.")] = "query_value,linear",
    budgets: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--budgets", help="For methods without a size of their own, such as 0.1%,5000."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", help="Rows per step.")] = 8,
    length: Annotated[int, typer.Option("--length", help="Tokens per row.")] = 128,
    device: Device = "cpu",
    dtype: Annotated[DType, typer.Option("--dtype", help="Type of the frozen weights.")] = DType.AUTO,
    rounds: Annotated[int, typer.Option("--rounds", help="Timed steps of each row; the interval needs six.")] = 6,
    threads: Annotated[int, typer.Option("--threads", help="Threads of each process.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Time training steps and measure the memory of methods, side by side."""
    from harness import registry
    from harness.environment import limit_threads
    from harness.errors import UserError
    from harness.suite import parse_budget

    chosen = None if methods is None else _words(methods, "--methods")
    for name in chosen or ():
        registry.find("method", name)
    try:
        asked = None if budgets is None else [parse_budget(word) for word in _words(budgets, "--budgets")]
    except ValueError as error:
        raise UserError(f"--budgets: {error}") from error
    limit_threads(max(1, threads))
    from harness.api import resolve_device
    from runners import bench as benching
    from runners.timing import as_json as as_rows
    from runners.timing import table

    timings = benching.bench(
        backbone,
        chosen,
        _words(targets, "--targets"),
        budgets=asked or benching.BUDGETS,
        batch=batch,
        length=length,
        device=resolve_device(device),
        dtype=dtype.value,
        rounds=rounds,
        threads=threads,
        report=lambda line: typer.echo(line, err=True),
    )
    typer.echo(json.dumps(as_rows(timings), indent=1) if as_json else table(timings))


def export(
    run_id: Annotated[str, typer.Argument(help="A run id, or the beginning of one.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the model; made, and never overwritten.")],
    folders: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--out", help="Where to look for the run; repeatable."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Write the merged model of a run in the ordinary transformers layout."""
    from harness.environment import limit_threads

    limit_threads(1)
    from harness.api import resolve_device
    from runners.export import export as write

    written = write(run_id, folders or [Path("out"), Path("leaderboard/records")], folder, resolve_device(device))
    typer.echo(f"the model is in {written}")


def _words(text: str, option: str) -> list[str]:
    from harness.errors import UserError

    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UserError(f"{option}: {text!r} came; give names with commas between them, none of them empty")
    return words
