"""The card of somebody's own task, of which records are published, keeps what every task promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import DataSource
from harness.registry import ROOT
from harness.suite import read
from runners.check_task import check_task

SUITE = Path(__file__).parent / "own" / "own_task.yaml"


def test_every_promise_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (entry,) = read(str(SUITE)).tasks
    found = check_task(entry.train, DataSource())
    assert len(found) > 5
    assert not [one for one in found if one.outcome == "broken"]
