"""``cell.json``: made from records, the same bytes every time, and nothing is lost with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from harness.api import plan_suite
from runners.cells import write_cells
from tests.runners.faulty import contents, suite
from tests.runners.searching import GRID, expansion, finish

ASKED: dict[str, Any] = {"search": {"grid": {"lr": GRID}}, "seeds": [0, 1]}


def write(out: Path) -> dict[str, Any]:
    """Write the only cell of a folder, and return what it holds."""
    write_cells(plan_suite(suite(["head_only"], **ASKED), out=out))
    (path,) = out.glob("cells/*/cell.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_a_cell_tells_its_trials_its_choice_and_its_finals(tmp_path: Path) -> None:
    specs = [spec for spec in expansion().first() if spec.purpose == "trial"]
    for spec, metric in zip(specs, (0.1, 0.7, 0.3, 0.2), strict=True):
        assert write(tmp_path)["search"]["chosen"] is None
        finish(tmp_path, spec, metric)
    planned = plan_suite(suite(["head_only"], **ASKED), out=tmp_path)
    first, second = planned.agenda.todo()
    finish(tmp_path, first.spec, status="lost")
    finish(tmp_path, first.spec)
    told = write(tmp_path)
    assert told["cell"] == {
        "backbone": "tiny:bert",
        "method": "head_only",
        "policy": "held_out",
        "protocol": "classify",
        "score": ["embedded/polarity"],
        "targets": "none",
        "train": "embedded/polarity",
        "values": {},
    }
    assert told["search"] == planned.agenda.bill(first.spec)
    assert told["search"]["chosen"] == {"lr": 0.2}
    assert told["reason"] is None
    assert told["finals"] == [
        {"run_id": first.spec.run_id, "budget": None, "seed": 0, "status": "ok", "attempt": 2},
        {"run_id": second.spec.run_id, "budget": None, "seed": 1, "status": None, "attempt": None},
    ]


def test_a_removed_cell_is_made_again_to_the_byte_and_nobody_reads_it(tmp_path: Path) -> None:
    for spec in (spec for spec in expansion().first() if spec.purpose == "trial"):
        finish(tmp_path, spec)
    write(tmp_path)
    before = contents(tmp_path)
    (path,) = tmp_path.glob("cells/*/cell.json")
    written = path.stat().st_mtime_ns
    write(tmp_path)
    assert path.stat().st_mtime_ns == written  # equal ones are left alone
    shutil.rmtree(tmp_path / "cells")
    assert [run.state for run in plan_suite(suite(["head_only"], **ASKED), out=tmp_path).runs] == ["done"] * 4 + [
        "todo"
    ] * 2
    write(tmp_path)
    assert contents(tmp_path) == before
    path.write_text("{", encoding="utf-8")
    write(tmp_path)
    assert contents(tmp_path) == before


def test_a_cell_without_a_winner_says_why(tmp_path: Path) -> None:
    for spec in (spec for spec in expansion().first() if spec.purpose == "trial"):
        finish(tmp_path, spec, status="diverged")
    told = write(tmp_path)
    assert told["reason"].startswith("no trial of its search gave values to choose (4 diverged)")
    assert [final["run_id"] for final in told["finals"]] == [None, None]


def test_a_suite_without_a_search_has_no_cells(tmp_path: Path) -> None:
    write_cells(plan_suite(suite(["head_only"]), out=tmp_path))
    assert not list(tmp_path.iterdir())
