"""The workflow that publishes the board: what it runs does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.publishing import LISTING
from harness.registry import ROOT
from tests.leaderboard.small_board import write_small_board

WORKFLOW = ROOT / ".github" / "workflows" / "board.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    """Return the workflow's jobs."""
    return dict(yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"])


def test_its_commands_build_a_published_board_where_the_upload_takes_it(jobs: dict[str, Any], tmp_path: Path) -> None:
    steps = jobs["build"]["steps"]
    (commands,) = (step["run"] for step in steps if step.get("name") == "Build")
    (upload,) = (step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", ""))
    write_small_board(tmp_path / "leaderboard" / "records" / "small")
    shim = tmp_path / "bin" / "paretune"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness.cli "$@"\n')
    shim.chmod(0o755)
    environment = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    line = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / upload / "index.html").is_file()
    assert (tmp_path / upload / LISTING).is_file()
    assert not (tmp_path / upload / ".board.json").exists()


def test_only_the_job_that_publishes_may_write_and_only_pages(jobs: dict[str, Any]) -> None:
    whole = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["build"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
