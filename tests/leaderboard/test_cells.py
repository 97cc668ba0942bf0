"""Cells: their numbers, what keeps one from being ranked, and the anchors of rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record import Failure
from leaderboard.cells import NORMAL, PUBLISHED, Ground, Section, anchor, obstacle
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers, card

TASK = "glue/sst2"
ITEMS = {TASK: answers(50, 10)}
FAILED = Failure(kind="E", message="m")


def sections(folder: Path, stale: dict[str, str] | None = None) -> tuple[Section, ...]:
    return tabulate(load_records([folder]).runs, stale or {}).sections


def test_seeds_form_a_cell_with_the_mean_of_their_scores(tmp_path: Path) -> None:
    for seed, wrong in enumerate((10, 12, 11)):
        Made(seed=seed, items={TASK: answers(50, wrong, seed)}).write(tmp_path)
    ((section,), unreadable) = tabulate(load_records([tmp_path]).runs, {})
    (row,) = section.rows
    cell = row.cells[TASK]
    assert cell.interval is not None
    assert cell.interval.estimate == pytest.approx(1 - 33 / 150)
    assert (cell.interval.num_seeds, cell.interval.num_items) == (3, 50)
    assert cell.comparable
    assert (row.trained, row.size, row.mixed, unreadable) == ((22_000,), 22_000, (), [])


def test_missing_failed_and_undefined_cells_have_no_number(tmp_path: Path) -> None:
    cards = {"glue/stsb": card("glue/stsb", "pearson")}
    Made(method="bitfit", items=ITEMS).write(tmp_path)
    Made(method="full", status="failed", error=Failure(kind="E", message="m")).write(tmp_path)
    constant = {"glue/stsb": ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])}
    varied = {"glue/stsb": ([1.0, 1.5, 1.2], [1.0, 2.0, 3.0])}
    Made(task="glue/stsb", items=constant, cards=cards).write(tmp_path)
    Made(task="glue/stsb", seed=1, items=varied, cards=cards).write(tmp_path)
    (section,) = sections(tmp_path)
    rows = {row.method: row for row in section.rows}
    assert rows["bitfit"].cells["glue/stsb"].runs == ()
    assert [run.record.status for run in rows["full"].cells[TASK].bad] == ["failed"]
    undefined = rows["lora"].cells["glue/stsb"]
    assert len(undefined.good) == 2
    assert undefined.interval is None
    assert rows["full"].size is None


def test_a_cell_without_some_seed_of_its_column_is_not_compared(tmp_path: Path) -> None:
    for seed in range(3):
        Made(seed=seed, items=ITEMS).write(tmp_path)
        if seed < 2:
            Made(method="bitfit", seed=seed, items=ITEMS).write(tmp_path)
        error = None if seed < 2 else Failure(kind="E", message="m")
        Made(method="full", seed=seed, items=ITEMS, error=error, status="failed" if error else "ok").write(tmp_path)
    Made(task="glue/rte", seed=7, items={"glue/rte": answers(50, 10)}).write(tmp_path)
    (section,) = sections(tmp_path)
    cells = {row.method: row.cells[TASK] for row in section.rows}
    assert {name: cell.comparable for name, cell in cells.items()} == {"lora": True, "bitfit": False, "full": False}
    assert {name: cell.missing for name, cell in cells.items()} == {"lora": (), "bitfit": (2,), "full": ()}
    assert {cell.seeds for cell in cells.values()} == {(0, 1, 2)}


def test_unusable_items_keep_the_mean_and_lose_the_interval(tmp_path: Path) -> None:
    (Made(items=ITEMS).write(tmp_path) / "items.parquet").unlink()
    ((section,), unreadable) = tabulate(load_records([tmp_path]).runs, {})
    cell = section.rows[0].cells[TASK]
    assert cell.interval is not None
    assert cell.interval.estimate == pytest.approx(0.8)
    assert cell.interval.low is None
    assert not cell.comparable
    assert len(unreadable) == 1


def test_a_published_board_ranks_neither_carved_data_nor_a_changed_checkout(tmp_path: Path) -> None:
    for method, facts in {
        "lora": {},
        "bitfit": {"state": "carved"},
        "full": {"environment": {"dirty": True}},
        "head_only": {"state": "subset"},
    }.items():
        for seed in (0, 1):
            Made(method, seed=seed, items={TASK: answers(50, 10, seed)}, **facts).write(tmp_path)  # type: ignore[arg-type]
    runs = load_records([tmp_path]).runs
    reasons = {}
    for mode in (NORMAL, PUBLISHED):
        (section,) = tabulate(runs, {}, mode).sections
        reasons[mode] = {row.method: obstacle(row.cells[TASK]) for row in section.rows}
    assert set(reasons[NORMAL].values()) == {""}
    assert reasons[PUBLISHED] == {"lora": "", "head_only": "", "bitfit": "carved data", "full": "dirty checkout"}
    marks = {row.method: row.cells[TASK].marks for row in section.rows}
    assert marks["full"] == ("dirty checkout: its code was changed and not committed",)
    assert marks["bitfit"] == ("carved data",)


@pytest.mark.parametrize(
    ("made", "stale", "reason"),
    [
        ([Made(items=ITEMS)], False, "one seed"),
        ([Made(items=ITEMS), Made(seed=1, items=ITEMS)], True, "stale"),
        ([Made(items=ITEMS), Made(seed=1, items=ITEMS), Made(seed=2, status="failed", error=FAILED)], False, "2 of 3"),
        ([Made(status="failed", error=FAILED)], False, "no number"),
    ],
)
def test_why_a_cell_may_not_be_ranked(tmp_path: Path, made: list[Made], stale: bool, reason: str) -> None:
    for one in made:
        one.write(tmp_path)
    (section,) = sections(tmp_path, {made[0].run_id: "moved on"} if stale else None)
    (row,) = section.rows
    assert obstacle(row.cells[TASK]).startswith(reason)
    assert not row.cells[TASK].comparable


@given(st.lists(st.text(max_size=20), min_size=2, max_size=30, unique=True))
def test_anchors_are_short_plain_and_tell_rows_apart(names: list[str]) -> None:
    ground = Ground("suite", "backbone", "classify", "held_out", "", 0)
    anchors = [anchor(ground, name) for name in names]
    assert len(set(anchors)) == len(names)
    assert all(re.fullmatch(r"[a-z2-7]{8}", one) for one in anchors)
    assert anchor(ground._replace(data_seed=1), names[0]) != anchors[0]
