"""Running the gate in this process, so that a fault planted here is one that it meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.gate import Check, Outcome, Report
from harness.registry import ROOT
from harness.regression import VALUES
from leaderboard.page import build_board
from runners.regression.gate import Gate

COMMITTED = ROOT / VALUES


def gate(*only: str, folder: Path = COMMITTED, **options: Any) -> Report:
    return Gate(folder=folder, build=build_board, only=only, **options).run()


def failed(report: Report) -> dict[str, list[str]]:
    """Return the names of failed checks by group."""
    found: dict[str, list[str]] = {}
    for check in report.checks:
        if check.counted is Outcome.FAIL:
            found.setdefault(check.group, []).append(check.name)
    return found


def only(report: Report) -> Check:
    (check,) = report.checks
    return check
