"""Which results are today's; that code makes records stale is held by the tests of provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import freshness
from harness.freshness import Freshness
from harness.record import Record
from tests.leaderboard.making import Made, answers
from tests.runners.matrices import a_record as searched
from tests.runners.matrices import specs


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


def a_final(lr: float, started: str, seed: int = 0, **bill: Any) -> Record:
    """Return a final with the values that a search chose, not ok so that its code is of no matter."""
    (spec,) = specs("lora", seeds=[seed], training={"lr": lr})
    told = {"over": ["lr"], "select": "validation", "search": "s", "chosen": {"lr": lr}, **bill}
    return searched(spec, status="failed", started=f"2026-01-01T00:00:{started}.000+00:00", search=told)


def test_finals_whose_search_chose_other_values_since_are_superseded() -> None:
    old = [a_final(0.1, "01"), a_final(0.1, "03", seed=1)]
    new = [a_final(0.2, "02", seed=1), a_final(0.2, "04", search="more trials")]
    other = [a_final(0.3, "05", select="loss"), searched(specs("bitfit")[0], status="failed")]
    found = Freshness().stale([*old, *new, *other])
    assert found == {one.run_id: "its search chose other values since (lr 0.2)" for one in old}
    assert Freshness().stale(reversed([*old, *new, *other])) == found


def test_finals_without_values_are_superseded_once_there_are_some_and_the_other_way_round() -> None:
    none, some = a_final(7.0, "01", chosen=None), a_final(0.1, "02")
    assert Freshness().stale([none, some]) == {none.run_id: "its search chose other values since (lr 0.1)"}
    later = a_final(7.0, "03", chosen=None)
    assert Freshness().stale([some, later]) == {some.run_id: "its search chose other values since (none)"}


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
