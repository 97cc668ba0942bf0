"""The README's method of a third party, as its reader would make it: built, installed, checked and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.record import RECORD_FILE, read_record
from harness.registry import ROOT

HEADING = "## Add a method of your own"
FENCE = re.compile(r"^```\w+\n# (?P<path>[\w./-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = 40


class Installed(NamedTuple):
    """A fresh environment with the package in it."""

    python: Path
    folder: Path
    """Holds the files of the README."""


def blocks(readme: str) -> dict[str, str]:
    """Return the files that the section shows, by path."""
    assert HEADING in readme, f"README.md has no section {HEADING!r}"
    section = readme.partition(HEADING)[2].partition("\n## ")[0]
    return {found["path"]: found["text"] for found in FENCE.finditer(section)}


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return blocks((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fresh(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("plugin")
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    python = folder / "environment" / "bin" / "python"
    done(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", folder / "environment")
    # An environment made from another sees the system's packages and not that one's: it is told where they are.
    site = Path(done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "outer.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n", encoding="utf-8")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check")
    done(python, "-m", "pip", "install", *offline, folder)
    return Installed(python, folder)


def done(*words: str | Path) -> str:
    """Run a command that must succeed; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def paretune(fresh: Installed, *words: str | Path) -> str:
    # -P: neither this checkout nor the package's own sources are found by the working directory.
    return done(fresh.python, "-P", "-m", "harness.cli", *words)


def test_the_method_takes_under_forty_lines(files: dict[str, str]) -> None:
    assert files.keys() == {"pyproject.toml", "paretune_gain.py", "suite.yaml"}
    assert len([line for line in files["paretune_gain.py"].splitlines() if line.strip()]) < LINES


def test_it_is_installed_and_listed_as_a_third_partys(fresh: Installed) -> None:
    listed = json.loads(paretune(fresh, "list", "methods", "--json"))
    assert [row["title"] for row in listed if row["name"] == "gain"] == ["Gain"]
    where = done(fresh.python, "-P", "-c", "import importlib.util as u; print(u.find_spec('paretune_gain').origin)")
    assert Path(where.strip()).is_relative_to(fresh.folder / "environment")


def test_it_keeps_every_promise_of_the_contract(fresh: Installed) -> None:
    checked = json.loads(paretune(fresh, "check", "method", "gain", "--json"))
    outcomes = {one["promise"]: one["outcome"] for one in checked["backbones"]["tiny:bert"]}
    assert {promise for promise, outcome in outcomes.items() if outcome != "kept"} == {"budget", "sparsity"}
    assert len(outcomes) >= 15


def test_its_cell_runs_beside_lora(fresh: Installed) -> None:
    paretune(fresh, "run", fresh.folder / "suite.yaml", "--out", fresh.folder / "out", "--workers", "1")
    records = [read_record(path) for path in sorted((fresh.folder / "out").rglob(RECORD_FILE))]
    found = {record.spec.method: record for record in records}
    assert {name: record.status for name, record in found.items()} == {"lora": "ok", "gain": "ok"}
    assert found["gain"].counts is not None
    assert found["gain"].counts.trained == 12
