"""The ``paretune`` command: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

from harness import submission, supply, workshop

if TYPE_CHECKING:
    from rich.table import Table

    from harness.api import SuiteResult
    from runners.plan import Plan

app = typer.Typer(
    name="paretune",
    help="Fine-tune pretrained models with many parameter-efficient methods on many tasks; publish what was measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
OK, NOT_OK, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def _mirror_for_all(value: str | None) -> str | None:
    """Let workers, and the search for weights, see the mirror that the option names."""
    if value:
        os.environ["PARETUNE_MIRROR"] = os.path.abspath(os.path.expanduser(value))
    return value


# typer reads these at run time, so the newer spelling of optional types must wait for Python 3.10 to go.
Out = Annotated[Optional[str], typer.Option("--out", help="Folder of the runs; out/SUITE by default.")]  # noqa: UP045
Mirror = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--mirror", help="Local copy of the data in hub layout; PARETUNE_MIRROR by default.", callback=_mirror_for_all
    ),
]
Only = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--only", help="Filter such as method=lora,method=full,task=glue/rte,seed=0."),
]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="KEY=VALUE for the suite, dotted, such as training.lr=1e-2; repeatable."),
]
Retry = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--retry", help="Try runs of this status again: failed, diverged, out_of_memory, timed_out; repeatable."
    ),
]
Workers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--workers", help="Processes; by default what the cores serve."),
]


def _allow_code(allowed: bool) -> bool:
    """Let workers inherit the user's word; see ``harness.stock``."""
    if allowed:
        os.environ["PARETUNE_ALLOW_CODE"] = "1"
    return allowed


AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Let lm-eval YAML files of your own call functions of their own.", callback=_allow_code
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def main() -> NoReturn:
    """Run the command line; an error that the user can mend is printed without a traceback and exits with 2."""
    from harness.errors import UserError
    from harness.registry import check_packages

    try:
        check_packages()
        app()
    except UserError as error:
        _fail(str(error))
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
def plan(
    suite: Annotated[str, typer.Argument(help="A shipped suite's name or a YAML file.")],
    out: Out = None,
    mirror: Mirror = None,
    only: Only = None,
    settings: Settings = None,
    retry: Retry = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what a suite would run, and why; do nothing."""
    from harness.api import plan_suite

    planned = plan_suite(suite, out=out, mirror=mirror, only=only, settings=settings or (), retry=retry or ())
    if as_json:
        every = (*planned.runs, *planned.waiting)
        runs = [{"run_id": run.run_id, "state": run.state, "reason": run.reason} for run in every]
        typer.echo(json.dumps({"suite": planned.suite, "runs": runs, "counts": planned.counts()}, indent=1))
        _refuse_if_empty(planned)
        return
    from runners.progress import describe

    for run in (*planned.runs, *planned.waiting):
        typer.echo(
            f"{run.run_id or '-':<16}  {run.state:<14}  {describe(run.spec)}{f'  ({run.reason})' if run.reason else ''}"
        )
    typer.echo(f"{planned.suite}: {_counts(planned)}")
    _refuse_if_empty(planned)


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A shipped suite's name or a YAML file.")],
    out: Out = None,
    mirror: Mirror = None,
    only: Only = None,
    settings: Settings = None,
    workers: Workers = None,
    device: Device = "auto",
    executor: Annotated[str, typer.Option("--executor", help="How workers are started: local.")] = "local",
    retry: Retry = None,
    allow_code: AllowCode = False,
) -> None:
    """Run what a suite still needs, and print a summary."""
    from rich.console import Console

    from harness.api import run_suite
    from harness.errors import UnknownName
    from runners.progress import Progress

    if executor != "local":
        raise UnknownName("executor", executor, ["local"], "--executor")
    console = Console(highlight=False)
    shown: list[Progress] = []

    def observe(planned: Plan) -> Progress:
        console.print(f"{planned.suite}: {_counts(planned)}")
        shown.append(Progress(console, len(planned.waiting) + len(planned.agenda.todo())))
        return shown[-1].__enter__()

    try:
        result = run_suite(
            suite,
            out=out,
            mirror=mirror,
            only=only,
            settings=settings or (),
            workers=workers,
            device=device,
            retry=retry or (),
            observe=observe,
        )
    finally:
        for progress in shown:
            progress.__exit__(None, None, None)
    _report(console, result, suite)


@app.command("run-one")
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
        _fail(f"{spec} holds no spec: {explain(error, Spec)}")
    except (OSError, ValueError) as error:
        _fail(f"{spec} holds no spec: {error}; give a JSON file with one spec, or a record.json")
    limit_threads(wanted.threads)
    from harness.api import run_spec

    record, folder = run_spec(wanted, out.resolve(), mirror, device)
    typer.echo(f"{record.status}  {folder}{f'  ({record.error.message})' if record.error else ''}")
    raise typer.Exit({"ok": OK, "not_applicable": BAD_INPUT}.get(record.status, NOT_OK))


@app.command()
def status(folder: Annotated[Path, typer.Argument(help="A folder of runs.")], as_json: AsJson = False) -> None:
    """Count the runs of a folder by status, also while a suite runs there."""
    from harness.api import load_records

    loaded = load_records([folder])
    counts: dict[str, int] = {}
    for one in loaded.runs:
        counts[one.record.status] = counts.get(one.record.status, 0) + 1
    if as_json:
        typer.echo(
            json.dumps({"runs": counts, "unfinished": loaded.num_unfinished, "unreadable": loaded.unreadable}, indent=1)
        )
    else:
        for name, count in sorted(counts.items()):
            typer.echo(f"{name:<14} {count}")
        typer.echo(f"{'unfinished':<14} {loaded.num_unfinished}  (started, no record yet)")
    _name_unreadable(loaded.unreadable)


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
) -> None:
    """Build the leaderboard from records and print where its page is."""
    from harness.api import build_board

    built = build_board(folders, out)
    typer.echo(f"{built.num_records} records")
    typer.echo(f"the page is {built.page.resolve()}")
    _name_unreadable(built.unreadable)


supply.mount(app)
workshop.mount(app)
submission.mount(app)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this installation and say what is missing and how to get it."""
    from harness import listing

    checks = listing.diagnose()
    if as_json:
        typer.echo(json.dumps([check._asdict() for check in checks], indent=1))
    for check in checks if not as_json else ():
        typer.echo(f"{'ok ' if check.ok else 'NO ' if check.needed else '-- '} {check.name:<12} {check.detail}")
    raise typer.Exit(OK if all(check.ok for check in checks if check.needed) else NOT_OK)


@app.command()
def clean(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove lost and cancelled attempts of runs that have a newer ok one; nothing else is ever removed."""
    from runners.sweep import hold, remove, superseded

    if not folder.is_dir():
        _fail(f"{folder} is not a folder; name the folder of a suite's runs, such as out/quick")
    with hold(folder.resolve()):
        found = superseded(folder.resolve())
        for attempt in found:
            typer.echo(f"{attempt.run_id}/{attempt.number:03}")
        if not found:
            typer.echo("nothing to remove")
        elif yes or typer.confirm(f"remove these {len(found)} attempts?"):
            remove(found)
            typer.echo(f"removed {len(found)} attempts")


def _report(console: Any, result: SuiteResult, suite: str) -> NoReturn:  # Any: rich's console, imported late
    from harness.api import run_statuses
    from runners.plan import ON_REQUEST

    planned = result.plan
    if not result.num_started and not result.interrupted:
        console.print(f"nothing to do: {_counts(planned)} in {result.out}", soft_wrap=True)
    else:
        console.print(_summary(planned))
    statuses = run_statuses(planned)
    console.print(", ".join(f"{count} {name}" for name, count in sorted(statuses.items())))
    console.print(f"the runs are in {result.out}; build the page with: paretune board {result.out}", soft_wrap=True)
    if result.interrupted:
        console.print(f"interrupted; the rest is run by: paretune run {suite} --out {result.out}", soft_wrap=True)
        sys.exit(INTERRUPTED)
    _refuse_if_empty(planned)
    for status in sorted({run.record.status for run in planned.runs if run.record} - {"ok", "not_applicable"}):
        asked = f" --retry {status}" if status in ON_REQUEST else ""
        console.print(
            f"try the {status} runs again with: paretune run {suite} --out {result.out}{asked}", soft_wrap=True
        )
    sys.exit(OK if planned.ok() else NOT_OK)


def _refuse_if_empty(planned: Plan) -> None:
    _name_unreadable(planned.unreadable)
    if all(run.state == "not_applicable" for run in planned.runs):
        _fail(f"nothing in {planned.suite} is applicable: {planned.runs[0].reason}")


def _summary(planned: Plan) -> Table:
    from runners.progress import summary, tally

    # What an interrupted run left stale is no result of today's code.
    return summary(tally([run.record for run in planned.runs if run.record and run.state != "stale"]))


def _counts(planned: Plan) -> str:
    return ", ".join(f"{count} {state}" for state, count in planned.counts().items())


def _name_unreadable(messages: Sequence[str]) -> None:
    for message in messages:
        typer.echo(f"unreadable: {message}", err=True)
    if messages:
        raise typer.Exit(NOT_OK)


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
