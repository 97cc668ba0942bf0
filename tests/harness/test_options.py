"""Options and endings that commands share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness import options
from harness.options import AllowCode, Mirror


def test_every_ending_has_a_code_of_its_own() -> None:
    names = ("OK", "NOT_OK", "BAD_INPUT", "INCONCLUSIVE", "NO_DATA", "INTERRUPTED")
    assert [getattr(options, name) for name in names] == [0, 1, 2, 3, 4, 130]


def test_a_failure_is_one_line_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.fail("no such thing", options.NO_DATA)
    assert ended.value.code == 4
    assert capsys.readouterr().err == "error: no such thing\n"


def test_unreadable_input_is_named_and_makes_the_command_not_ok(capsys: pytest.CaptureFixture[str]) -> None:
    options.name_unreadable([])
    with pytest.raises(typer.Exit) as ended:
        options.name_unreadable(["a: damaged", "b: foreign"])
    assert ended.value.exit_code == options.NOT_OK
    assert capsys.readouterr().err == "unreadable: a: damaged\nunreadable: b: foreign\n"


def test_mirror_and_leave_to_run_code_reach_worker_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = typer.Typer()

    @app.command()
    def probe(mirror: Mirror = None, allow_code: AllowCode = False) -> None:
        typer.echo(f"{mirror} {os.environ['PARETUNE_MIRROR']} {os.environ['PARETUNE_ALLOW_CODE']}")

    for name in ("PARETUNE_MIRROR", "PARETUNE_ALLOW_CODE"):
        monkeypatch.setenv(name, "before")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, []).stdout == "None before before\n"
    assert CliRunner().invoke(app, ["--mirror", "data", "--allow-code"]).stdout == f"data {tmp_path / 'data'} 1\n"
