"""Execute the commands of documents, and say what came of each.

Usage: python -m tests.documents [DOCUMENT...]      README.md by default; exit codes as of ``paretune regression``
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import yaml

from harness.api import run_suite
from harness.gate import Check, Outcome, Report
from harness.registry import ROOT
from tests.documents.commands import Command, commands, plan

SECONDS = 600
"""After which a command is given up."""
TAIL = 300
"""Characters of what a failed command said last that are shown."""
SUITE = {
    "name": "glue_minilm",
    "backbones": ["tiny:bert"],
    "methods": ["base", {"lora": {"rank": 1}}],
    "tasks": ["embedded/agreement"],
    "sizes": {"train": 32, "validation": 16, "test": 32},
    "seeds": [0, 1],
    "training": {"epochs": 1, "max_length": 16},
    "keep": "all",
}
"""Runs that commands find under the name of the suite that the README is about, seconds in place of hours."""


def prepare(scratch: Path) -> str:
    """Put a few runs, and the published records, where commands look for them; return the id of one run."""
    (scratch / "suite.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    result = run_suite(scratch / "suite.yaml", out=scratch / "out" / "glue_minilm", workers=1, device="cpu")
    for name in ("records", "releases"):
        if (ROOT / "leaderboard" / name).is_dir():
            shutil.copytree(ROOT / "leaderboard" / name, scratch / "leaderboard" / name)
    return next(record.run_id for record in result.records if record.spec.method == "lora")


def execute(document: Path, command: Command, run_id: str, scratch: Path) -> Check:
    """Execute one command where there is nothing against it."""
    name = f"line {command.line}: {command.text}"
    mirror = os.environ.get("PARETUNE_MIRROR")
    planned = plan(command, str(Path(mirror).resolve()) if mirror else None, run_id)
    if not planned.run:
        return Check(document.name, name, Outcome.NO_DATA, planned.reason, blocks=False)
    sys.stderr.write(f"{document.name}:{command.line}: {planned.run}\n")
    began = monotonic()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment["PYTHONPATH"] = str(ROOT)
    try:
        done = subprocess.run(
            ["bash", "-c", planned.run], cwd=scratch, env=environment, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Check(document.name, name, Outcome.FAIL, f"took over {SECONDS} s: {planned.run}")
    facts = {"ran": planned.run, "seconds": round(monotonic() - began, 1), "exit_code": done.returncode}
    if done.returncode == 0:
        return Check(document.name, name, Outcome.PASS, facts=facts)
    said = " ".join((done.stdout + done.stderr)[-TAIL:].split())
    return Check(document.name, name, Outcome.FAIL, f"ended with {done.returncode}: {said}", facts)


def checks(documents: list[Path]) -> Iterator[Check]:
    """Yield what came of every command of some documents."""
    with tempfile.TemporaryDirectory(prefix="paretune-documents-") as folder:
        scratch = Path(folder)
        run_id = prepare(scratch)
        for document in documents:
            for command in commands(document.read_text(encoding="utf-8")):
                yield execute(document, command, run_id, scratch)


def main() -> None:
    """Execute the commands of the documents that the command line names."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    report = Report("documents", tuple(checks([Path(one) for one in sys.argv[1:]] or [ROOT / "README.md"])))
    sys.stdout.write(f"{report.text()}\n")
    sys.exit(report.outcome.code)


if __name__ == "__main__":
    main()
