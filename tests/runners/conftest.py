"""What the tests of runs share: methods that go wrong, warm backbones, and one small suite that ran once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.api import SuiteResult, run_suite
from harness.data import DataSource
from tests.runners.faulty import SECRET, install, installed, write_suite

SIX: list[Any] = ["base", "head_only", "bitfit", {"lora": {"rank": 2}}, {"random_mask": {"budget": "1%"}}, "full"]
OUTSIDE: list[Any] = [{"lora": {"budget": 1}}, {"random_mask": {"budget": 1_000_000}}]


class Finished(NamedTuple):
    """A suite of every method, and two budgets that no method meets, after one worker ran it."""

    file: Path
    out: Path
    result: SuiteResult


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    file = write_suite(folder / "six.yaml", [*SIX, *OUTSIDE], name="six")
    return Finished(file, folder / "out", run_suite(file, out=folder / "out", workers=1, device="cpu"))


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """Give a copy of the finished suite to damage."""
    shutil.copytree(finished.out, tmp_path / "out")
    return finished._replace(out=tmp_path / "out")


@pytest.fixture(scope="session")
def faulty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("faulty"))


@pytest.fixture
def faulty(faulty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    with installed(faulty_folder):
        yield faulty_folder


@pytest.fixture(scope="session")
def warm() -> Any:
    from runners.execute import Warm

    return Warm(DataSource(), "cpu")
