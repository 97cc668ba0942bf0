"""What moved since a release."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.record import Failure
from leaderboard.compare import compare
from leaderboard.frozen import frozen_cells
from leaderboard.load import load_records
from leaderboard.moves import Moves, moves
from leaderboard.releases import freeze, read_archive
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers

METHODS = {"random_mask": 5, "fish": 6, "pst": 60}


def write(folder: Path, method: str, wrong: int, attempt: int = 1, num_items: int = 200) -> None:
    for seed in range(3):
        items = {"glue/sst2": answers(num_items, wrong + seed, seed)}
        Made(method, seed=seed, attempt=attempt, items=items).write(folder)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Return records of which a release was made."""
    for method, wrong in METHODS.items():
        write(tmp_path / "records", method, wrong)
    freeze([tmp_path / "records"], tmp_path / "releases", "then")
    return tmp_path / "records"


def since(records: Path) -> Moves:
    (release,) = read_archive(records.parent / "releases").releases
    now = {cell.key: (cell, own) for cell, own in frozen_cells(Site.of(load_records([records])))}
    return moves(release, now)


def test_nothing_moves_by_itself(records: Path) -> None:
    found = since(records)
    assert not found.any
    assert found.num_same == 3


def test_other_results_give_the_paired_difference_and_letters_that_follow(records: Path, tmp_path: Path) -> None:
    write(records, "fish", 80, attempt=2)
    found = since(records)
    (move,) = found.moved
    then = [run for run in load_records([tmp_path / "releases"]).runs if run.record.spec.method == "fish"]
    now = [run for run in load_records([records]).runs if run.record.spec.method == "fish"]
    assert move.difference == compare(now, then, "glue/sst2")
    assert move.difference is not None
    assert move.difference.estimate == pytest.approx((6 - 80) / 200)
    assert move.then.mean == pytest.approx(1 - 7 / 200)
    assert found.num_same == 2
    letters = {before.name: (before.letters, now.letters) for before, now in found.regrouped}
    assert letters["fish"][0] == "a"
    assert letters["fish"][1] != "a"
    assert "random_mask" not in letters


def test_new_and_vanished_cells_are_named(records: Path) -> None:
    for run in load_records([records]).runs:
        if run.record.spec.method == "pst":
            shutil.rmtree(records / run.run_id)
    write(records, "lora", 9)
    found = since(records)
    assert [cell.name for cell in found.new] == ["lora"]
    assert [cell.name for cell in found.vanished] == ["pst"]
    assert not found.moved


def test_a_cell_that_lost_its_number_says_so(records: Path) -> None:
    for run in load_records([records]).runs:
        if run.record.spec.method == "pst":
            shutil.rmtree(records / run.run_id)
    for seed in range(3):
        Made("pst", seed=seed, status="failed", error=Failure(kind="E", message="m")).write(records)
    (move,) = since(records).moved
    assert (move.difference, move.reason, move.now.mean) == (None, "no number now", None)


def test_other_items_cannot_be_paired(tmp_path: Path) -> None:
    items = answers(40, 4)
    Made(items={"glue/sst2": items}).write(tmp_path / "records")
    freeze([tmp_path / "records"], tmp_path / "releases", "then")
    shutil.rmtree(tmp_path / "records")
    Made(seed=1, items={"glue/sst2": items}).write(tmp_path / "records")
    (move,) = since(tmp_path / "records").moved
    assert (move.difference, move.reason) == (None, "no seed or item in common")


def test_a_release_without_items_cannot_be_paired(records: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "releases")
    for path in records.rglob("items.parquet"):
        path.rename(path.with_suffix(".away"))
    freeze([records], tmp_path / "releases", "then")
    for path in records.rglob("items.away"):
        path.rename(path.with_suffix(".parquet"))
    write(records, "fish", 80, attempt=2)
    (move,) = since(records).moved
    assert (move.difference, move.reason) == (None, "the items of the release cannot be used")
