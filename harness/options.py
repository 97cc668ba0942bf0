"""What commands share: options by name, exit codes, and how a command says that it cannot go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn, Optional

import typer

OK, NOT_OK, BAD_INPUT, INCONCLUSIVE, NO_DATA, INTERRUPTED = 0, 1, 2, 3, 4, 130


def _mirror_for_all(value: str | None) -> str | None:
    """Let workers, and the search for weights, see the mirror that the option names."""
    if value:
        os.environ["PARETUNE_MIRROR"] = os.path.abspath(os.path.expanduser(value))
    return value


def _allow_code(allowed: bool) -> bool:
    """Let workers inherit the user's word; see ``harness.stock``."""
    if allowed:
        os.environ["PARETUNE_ALLOW_CODE"] = "1"
    return allowed


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
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Let lm-eval YAML files of your own call functions of their own.", callback=_allow_code
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def name_unreadable(messages: Sequence[str]) -> None:
    """Name input records that could not be read; with any, the command ends as not ok."""
    for message in messages:
        typer.echo(f"unreadable: {message}", err=True)
    if messages:
        raise typer.Exit(NOT_OK)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """End the command with one line of what is wrong."""
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)
