"""Commands for authors of methods and tasks: ``check``, ``new``, ``bench``, ``export``; heavy imports wait for use."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from runners.check import Finding, Outcome

OK, NOT_OK = 0, 1
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
SHOWN: dict[Outcome, str] = {"kept": "kept", "broken": "BROKEN", "not_applicable": "n.a."}

check = typer.Typer(no_args_is_help=True)
new = typer.Typer(no_args_is_help=True)


class DType(str, Enum):
    """Types of frozen weights."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Clock(str, Enum):
    """What the seconds of a bench are."""

    WALL = "wall"
    PROCESS = "process"


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(check, name="check")
    app.add_typer(new, name="new")
    app.command()(bench)
    app.command()(export)


@check.callback()
def _check() -> None:
    """Check a method or a task, a third party's too, against the contract."""


@new.callback()
def _new() -> None:
    """Write the starting files of a method or a task of your own."""


@check.command("method")
def check_method(
    name: Annotated[str, typer.Argument(help="A registered method, a third party's too.")],
    backbone: Annotated[str, typer.Option("--backbone", help="Reference of a backbone.")] = "tiny:bert",
    all_architectures: Annotated[
        bool, typer.Option("--all-architectures", help="Check on a tiny backbone of each architecture.")
    ] = False,
    device: Device = "cpu",
    dtype: Annotated[DType, typer.Option("--dtype", help="Type of the frozen weights.")] = DType.FLOAT32,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="KEY=VALUE for the method, such as rank=4; repeatable."),
    ] = None,
    budget: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--budget", min=1, help="Trained scalars outside the head; else the method's own size."),
    ] = None,
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
    values = _method_values(name, settings or (), budget)
    import torch

    from harness.devices import resolve_device
    from runners.check import check_method as run_check

    frozen = torch.bfloat16 if dtype is DType.BFLOAT16 else torch.float32
    found: dict[str, tuple[Finding, ...]] = {}
    for reference in references:
        found[reference] = run_check(
            name, reference, device=resolve_device(device), dtype=frozen, values=values, budget=budget
        )
        if not as_json:
            _print_findings(name, reference, found[reference])
    if as_json:
        rows = {reference: [one._asdict() for one in findings] for reference, findings in found.items()}
        typer.echo(json.dumps({"method": name, "backbones": rows}, indent=1))
    outcomes = [_outcome(findings) for findings in found.values()]
    if len(found) > 1 and not as_json:
        typer.echo(f"{len(found)} backbones: {_tally(outcomes)}")
    if "broken" in outcomes:
        raise typer.Exit(NOT_OK)
    if set(outcomes) == {"not_applicable"}:
        from harness.errors import UserError

        reason = next(iter(found.values()))[-1].detail
        raise UserError(f"method {name!r} is not applicable to {', '.join(found)}: {reason}")


@check.command("task")
def check_task(
    name: Annotated[str, typer.Argument(help="A registered task, a third party's too, or yaml:PATH.")],
    protocol: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--protocol", help="One of its protocols; the first by default."),
    ] = None,
    mirror: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--mirror", help="Local copy of the data; PARETUNE_MIRROR by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every promise of a task on a tiny backbone and a few of its own rows."""
    from harness import registry
    from harness.data import DataSource
    from harness.environment import limit_threads
    from harness.errors import MissingPrerequisite, UnknownName

    card, source = registry.load_task(name).card, DataSource.of(mirror)
    if protocol is not None and protocol not in card.protocols:
        raise UnknownName("protocol", protocol, card.protocols, name)
    limit_threads(1)
    from runners.check_task import check_task as findings_of

    if source.reach(registry.load_task(name)) == "missing":
        source.check(registry.load_task(name), "evaluation")
        raise MissingPrerequisite(f"{name}: some split is not in {source.mirror}; add it")
    findings = findings_of(name, source, protocol)
    if as_json:
        typer.echo(json.dumps({"task": name, "findings": [one._asdict() for one in findings]}, indent=1))
    else:
        _print_findings(name, protocol or card.protocols[0], findings)
    if any(one.outcome == "broken" for one in findings):
        raise typer.Exit(NOT_OK)


def _method_values(name: str, settings: Sequence[str], budget: int | None) -> dict[str, Any]:  # Any: as below
    """Return the values that ``--set`` gives; a wrong one, or a budget that cannot be, is refused by name."""
    from pydantic import ValidationError

    from harness import registry
    from harness.errors import UserError
    from harness.suite import assign, explain

    values: dict[str, Any] = {}  # Any: YAML as it came
    for setting in settings:
        assign(values, setting)
    config, knob = registry.load_method(name).Config, registry.find("method", name).card.get("budget")
    try:
        config.model_validate(values)
    except ValidationError as error:
        raise UserError(f"method {name!r}: {explain(error, config)}") from error
    if budget is not None and not knob:
        raise UserError(f"method {name!r} has one size and takes no budget; leave --budget out")
    if budget is not None and knob in values:
        raise UserError(f"method {name!r} has a budget, which sets {knob}; give one of --budget and --set {knob}")
    return values


def _outcome(findings: Sequence[Finding]) -> Outcome:
    """Return what the findings on one backbone come to."""
    if any(one.outcome == "broken" for one in findings):
        return "broken"
    # The card is no promise about a backbone.
    return "kept" if any(one.outcome == "kept" for one in findings[1:]) else "not_applicable"


def _tally(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{outcomes.count(outcome)} {outcome.replace('_', ' ')}" for outcome in SHOWN)


def _print_findings(name: str, reference: str, findings: Sequence[Finding]) -> None:
    typer.echo(f"{name} on {reference}: {_tally([one.outcome for one in findings])}")
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
    tests = out / "tests" / "methods" / f"test_{name}.py"
    if not is_checkout(out):
        tests = out / f"paretune-{name.replace('_', '-')}"
        # Neither is needed, and without them the network is not asked.
        typer.echo(f"install it with: python -m pip install --no-deps --no-build-isolation --editable {tests}")
    typer.echo(f"then: python -m pytest {tests}")
    typer.echo(f"check it with: paretune check method {name}")


@new.command("task")
def new_task(
    name: Annotated[str, typer.Argument(help="What its file will be called, such as my_task.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="A checkout of this project, or a folder that gets a card and rows."),
    ] = Path(),
) -> None:
    """Write a commented starting card (in a checkout: a task file and its test); it works as it is."""
    from harness import registry
    from harness.scaffold import is_checkout
    from harness.scaffold_task import new_task as write

    for path in write(name, out, {one.partition("/")[0]: one for one in registry.tasks()}):
        typer.echo(f"wrote {path}")
    if is_checkout(out):
        typer.echo(f"then: python -m pytest {out / 'tests' / 'tasks' / f'test_{name}.py'}")
    reference = f"{name}/words" if is_checkout(out) else f"yaml:{out / f'{name}.yaml'}"
    typer.echo(f"check it with: paretune check task {reference}")


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
    warmup: Annotated[int, typer.Option("--warmup", help="Steps of each row before the timed ones.")] = 2,
    clock: Annotated[
        Clock, typer.Option("--clock", help="process leaves out what others took of a busy CPU; for one thread.")
    ] = Clock.WALL,
    threads: Annotated[int, typer.Option("--threads", help="Threads of each process.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Time training steps and measure the memory of methods, side by side."""
    from harness import registry
    from harness.environment import describe, limit_threads
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
    from harness.devices import resolve_device
    from runners import bench as benching
    from runners.bench_row import Setting
    from runners.timing import as_json as as_rows
    from runners.timing import table

    place = resolve_device(device)
    timings = benching.bench(
        backbone,
        chosen,
        _words(targets, "--targets"),
        budgets=asked or benching.BUDGETS,
        batch=batch,
        length=length,
        device=place,
        dtype=dtype.value,
        rounds=rounds,
        warmup=warmup,
        threads=threads,
        clock=time.process_time if clock is Clock.PROCESS else time.perf_counter,
        report=lambda line: typer.echo(line, err=True),
    )
    shared = Setting(reference=backbone, batch=batch, length=length, device=place, dtype=dtype.value, threads=threads)
    setting = shared.facts() | {"rounds": rounds, "warmup": warmup, "clock": clock.value}
    shown = timings, setting, describe(place, threads)
    typer.echo(json.dumps(as_rows(*shown), indent=1) if as_json else table(*shown))
    benching.require_timed(timings, chosen)


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
    from harness.devices import resolve_device
    from runners.export import export as write

    written = write(run_id, folders or [Path("out"), Path("leaderboard/records")], folder, resolve_device(device))
    typer.echo(f"the model is in {written}")


def _words(text: str, option: str) -> list[str]:
    from harness.errors import UserError

    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UserError(f"{option}: {text!r} came; give names with commas between them, none of them empty")
    return words
