"""Commands that run what a suite asks: ``plan``, ``run`` and ``run-one``; heavy imports wait for use."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, Optional

import typer

from harness.options import (
    BAD_INPUT,
    INTERRUPTED,
    NOT_OK,
    OK,
    AllowCode,
    AsJson,
    Device,
    Mirror,
    Only,
    Out,
    Retry,
    Settings,
    Workers,
    fail,
    name_unreadable,
)

if TYPE_CHECKING:
    from rich.console import Console

    from harness.api import Observer, SuiteResult
    from runners.plan import Plan
    from runners.watched import Watched

SuiteName = Annotated[str, typer.Argument(help="A shipped suite's name or a YAML file.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(plan)
    app.command()(run)
    app.command("run-one")(run_one)


def plan(
    suite: SuiteName,
    out: Out = None,
    mirror: Mirror = None,
    only: Only = None,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "auto",
    retry: Retry = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what a suite would run, why, and how long that will take; do nothing."""
    from harness.api import forecast_plan, plan_suite
    from runners.events import planned as facts
    from runners.summary import describe
    from runners.sweep import output_folder

    planned = plan_suite(suite, out=out, mirror=mirror, only=only, settings=settings or (), retry=retry or ())
    expected = forecast_plan(planned, output_folder(planned.suite, out), workers=workers, device=device)
    if as_json:
        typer.echo(json.dumps({"suite": planned.suite, **facts(planned, expected)}, indent=1))
        _refuse_if_empty(planned)
        return
    for one in (*planned.runs, *planned.waiting):
        reason = f"  ({one.reason})" if one.reason else ""
        trained = "" if one.trained is None else f"  trains {one.trained:,}"
        typer.echo(f"{one.run_id or '-':<16}  {one.state:<14}  {describe(one.spec)}{trained}{reason}")
    typer.echo(f"{planned.suite}: {_counts(planned)}")
    if any(expected.runs.values()):
        typer.echo(str(expected))
    _refuse_if_empty(planned)


def run(
    suite: SuiteName,
    out: Out = None,
    mirror: Mirror = None,
    only: Only = None,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "auto",
    runs_per_device: Annotated[int, typer.Option("--runs-per-device", help="Workers that share one GPU.")] = 1,
    executor: Annotated[
        str, typer.Option("--executor", help="How workers are started: local, ray or slurm.")
    ] = "local",
    address: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--address", help="Of a Ray cluster, such as auto; with slurm, local runs its workers here."),
    ] = None,
    retry: Retry = None,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one a line; see runners.events.")] = (
        False
    ),
) -> None:
    """Run what a suite still needs, and print a summary."""
    from rich.console import Console

    from harness.api import run_suite

    console = Console(highlight=False)
    with ExitStack() as shown:

        def observe(watched: Watched) -> Observer:
            if as_json:
                from runners.events import JsonEvents

                return JsonEvents(sys.stdout, watched)
            from runners.progress import Progress

            console.print(f"{watched.plan.suite}: {_counts(watched.plan)}")
            if watched.total:
                console.print(str(watched.forecast), soft_wrap=True)
            return shown.enter_context(Progress(console, watched))

        result = run_suite(
            suite,
            out=out,
            mirror=mirror,
            only=only,
            settings=settings or (),
            workers=workers,
            device=device,
            runs_per_device=runs_per_device,
            executor=executor,
            address=address,
            retry=retry or (),
            observe=observe,
        )
    words = ["paretune", *sys.argv[1:]]
    if as_json:
        _finish(result, words)
    report(console, result, words)


def run_one(
    spec: Annotated[Path, typer.Argument(help="A JSON file with one spec, or a record of which the spec is taken.")],
    out: Annotated[Path, typer.Argument(help="Folder of the runs.")],
    mirror: Mirror = None,
    device: Device = "auto",
    allow_code: AllowCode = False,
) -> None:
    """Run one spec in this process and write its record."""
    from pydantic import ValidationError

    from harness.environment import limit_threads
    from harness.spec import Spec
    from harness.suite import explain

    try:
        content = json.loads(spec.read_text(encoding="utf-8"))
        wanted = Spec.model_validate(content.get("spec", content) if isinstance(content, dict) else content)
    except ValidationError as error:
        fail(f"{spec} holds no spec: {explain(error, Spec)}")
    except (OSError, ValueError) as error:
        fail(f"{spec} holds no spec: {error}; give a JSON file with one spec, or a record.json")
    limit_threads(wanted.threads)
    from harness.single import run_spec

    record, folder = run_spec(wanted, out.resolve(), mirror, device)
    typer.echo(f"{record.status}  {folder}{f'  ({record.error.message})' if record.error else ''}")
    raise typer.Exit({"ok": OK, "not_applicable": BAD_INPUT}.get(record.status, NOT_OK))


def report(console: Console, result: SuiteResult, words: Sequence[str]) -> NoReturn:
    """Print what a matrix came to, failures first, and end with the exit code that says so.

    Args:
        console: where to print.
        result: of the matrix.
        words: the command that ran it; what it says runs the rest.
    """
    import shlex

    from harness.api import run_statuses
    from runners.summary import failure_lines, failures, rerun, summary, tally

    planned = result.plan
    found = failures(planned, result.out)
    for line in failure_lines(found):
        console.print(line, soft_wrap=True, markup=False)
    if not result.num_started and not result.interrupted:
        console.print(f"nothing to do: {_counts(planned)} in {result.out}", soft_wrap=True)
    else:
        # What an interrupted run left stale is no result of today's code.
        console.print(summary(tally([run.record for run in planned.runs if run.record and run.state != "stale"])))
    console.print(", ".join(f"{count} {name}" for name, count in sorted(run_statuses(planned).items())))
    console.print(f"the runs are in {result.out}; build the page with: paretune board {result.out}", soft_wrap=True)
    code = _exit_code(result)
    if code == INTERRUPTED:
        console.print(f"interrupted; the rest is run by: {shlex.join(words)}", soft_wrap=True, markup=False)
        sys.exit(code)
    _refuse_if_empty(planned)
    if found:
        console.print(f"try what is not ok again with: {shlex.join(rerun(words, found))}", soft_wrap=True, markup=False)
    sys.exit(code)


def _finish(result: SuiteResult, words: Sequence[str]) -> NoReturn:
    """Write the last JSON event, and end as ``report`` does."""
    from runners.events import summary, write
    from runners.summary import failures, rerun

    found, code = failures(result.plan, result.out), _exit_code(result)
    again = list(words) if code == INTERRUPTED else rerun(words, found) if found and code != OK else None
    write(sys.stdout, "summary", summary(result, code, again))
    for message in result.plan.unreadable:
        typer.echo(f"unreadable: {message}", err=True)
    sys.exit(code)


def _exit_code(result: SuiteResult) -> int:
    if result.interrupted:
        return INTERRUPTED
    if result.plan.unreadable:
        return NOT_OK
    if _empty(result.plan):
        return BAD_INPUT
    return OK if result.plan.ok() else NOT_OK


def _refuse_if_empty(planned: Plan) -> None:
    name_unreadable(planned.unreadable)
    if _empty(planned):
        fail(f"nothing in {planned.suite} is applicable: {planned.runs[0].reason}")
    if planned.missing:  # the plan stands, but a run of it would end here
        fail("\nerror: ".join(planned.missing))


def _empty(planned: Plan) -> bool:
    return all(run.state == "not_applicable" for run in planned.runs)


def _counts(planned: Plan) -> str:
    return ", ".join(f"{count} {state}" for state, count in planned.counts().items())
