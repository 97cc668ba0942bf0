"""Which results are today's; that code makes records stale is held by the tests of provenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import freshness
from harness.freshness import Freshness
from harness.record import Record
from tests.leaderboard.making import Made, answers


def a_record(folder: Path, method: str) -> Record:
    place = Made(method, items={"glue/sst2": answers(10, 2)}).write(folder)
    return Record.model_validate_json((place / "record.json").read_text())


def test_results_of_unknown_methods_and_other_code_are_stale(tmp_path: Path) -> None:
    gone, other = a_record(tmp_path, "gone"), a_record(tmp_path, "lora")
    failed = other.model_copy(update={"status": "failed", "run_id": "x"})
    assert Freshness().stale([gone, other, failed]) == {
        gone.run_id: "gone is not registered here",
        other.run_id: "the code or a card version changed since",
    }


def test_the_key_changes_with_any_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Freshness().key()
    assert Freshness().key() == first
    source = tmp_path / "method.py"
    source.write_text("CARD = {}")
    known = list(freshness._sources())
    monkeypatch.setattr(freshness, "_sources", lambda: [*known, source])
    second = Freshness().key()
    source.write_text("CARD = {1: 2}")
    assert len({first, second, Freshness().key()}) == 3
