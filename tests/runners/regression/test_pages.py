"""Claims about the pages of the fixed records: their bytes hang on the records, and not on where these lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import MissingPrerequisite
from leaderboard.page import build_board
from runners.regression import pages
from tests.runners.regression.gating import COMMITTED, failed, gate


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(COMMITTED, tmp_path / "elsewhere"))


def test_pages_are_the_same_wherever_the_records_lie(copied: Path) -> None:
    assert failed(gate("exact/pages", folder=copied)) == {}


def test_a_changed_number_fails_the_pages_that_show_it(copied: Path) -> None:
    path = next(path for path in sorted(copied.rglob("record.json")) if '"accuracy": 0' in path.read_text())
    path.write_text(path.read_text().replace('"fit": 41.2', '"fit": 41.3'))
    found = failed(gate("exact/pages", folder=copied))["exact/pages"]
    assert f"runs/{path.parent.parent.name}.html" in found


def test_no_records_are_no_board(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="no records"):
        pages.values(tmp_path, build_board)
