"""The same small suite through every executor, from the command line, gives equal records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.api import load_records
from harness.registry import ROOT
from tests.harness.commands import call
from tests.runners.faulty import answer, write_suite

METHODS: list[Any] = ["head_only", {"lora": {"rank": 2}}, {"random_mask": {"budget": "1%"}}]
EXECUTORS = {"local": [], "ray": ["--executor", "ray"], "slurm": ["--executor", "slurm", "--address", "local"]}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return, by executor and run id, what each run answered."""
    folder = tmp_path_factory.mktemp("executors")
    file = write_suite(folder / "three.yaml", METHODS, threads=1)
    answers = {}
    for name, options in EXECUTORS.items():
        words = ["run", str(file), "--out", str(folder / name), "--workers", "2", "--device", "cpu", *options]
        # A process of its own: what a cluster's library starts in this one would outlive the command's output.
        told = subprocess.run([sys.executable, "-m", "harness.cli", *words], capture_output=True, text=True, cwd=ROOT)
        assert told.returncode == 0, told
        loaded = load_records([folder / name])
        assert not loaded.unreadable
        answers[name] = {run.record.run_id: answer(run.record) for run in loaded.runs}
    return answers


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_metrics_and_items_are_equal_to_the_last_bit(found: dict[str, dict[str, Any]], name: str) -> None:
    assert len(found["local"]) == 3
    assert {one["status"] for one in found["local"].values()} == {"ok"}
    assert found[name] == found["local"]


def test_a_rerun_through_another_executor_has_nothing_to_do(tmp_path: Path) -> None:
    file = write_suite(tmp_path / "one.yaml", ["base"])
    assert call("run", file, "--out", tmp_path / "out", "--workers", "1").code == 0
    told = call("run", file, "--out", tmp_path / "out", "--executor", "slurm", "--address", "local")
    assert told.code == 0
    assert told.out.startswith("nothing to do")
