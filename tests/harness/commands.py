"""Calling the command line in this process, from its words to its exit code."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import yaml

from harness import cli
from harness.record import RECORD_FILE

SUITE: dict[str, Any] = {
    "name": "small",
    "backbones": ["tiny:bert"],
    "methods": ["base", {"random_mask": {"budget": ["1%", "100%"]}}],
    "tasks": ["embedded/agreement"],
    "sizes": {"train": 32, "validation": 16, "test": 32},
    "seeds": [0],
    "training": {"epochs": 1, "max_length": 16},
}
SPEC: dict[str, Any] = {
    "backbone": "tiny:bert",
    "method": "base",
    "targets": "none",
    "train": "embedded/polarity",
    "score": ["embedded/polarity"],
    "protocol": "classify",
    "sizes": SUITE["sizes"],
    "training": SUITE["training"],
}


class Called(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


def call(*arguments: str | Path, answer: str = "") -> Called:
    """Run the command line in this process, from the words to the exit code."""
    out, err = io.StringIO(), io.StringIO()
    words = ["paretune", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.object(sys, "stdin", io.StringIO(answer)),
        mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return Called(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def write_suite(folder: Path, **changes: Any) -> Path:
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}), encoding="utf-8")
    return path


def write_spec(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps({**SPEC, **changes}), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the environment's own mirror away: what is found here must not hang on it."""
    monkeypatch.delenv("PARETUNE_MIRROR", raising=False)


def record_paths(out: Path) -> list[Path]:
    return sorted(out.rglob(RECORD_FILE))
