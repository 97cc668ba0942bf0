"""What the pages below the index know of a section."""

from __future__ import annotations

from pathlib import Path

from harness.record import EpochMetrics
from leaderboard.load import load_records
from leaderboard.sheet import Sheet
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board

TASK = "glue/sst2"


def sheets(folder: Path) -> tuple[Sheet, ...]:
    return Site.of(load_records([folder])).sheets


def test_a_site_makes_each_sheet_once(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    (sheet,) = site.sheets
    assert site.sheets is site.sheets
    assert sheet.studies is sheet.studies
    assert sheet.title == "small"


def test_anchors_and_ids_tell_entries_and_sections_apart(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    Made(items={TASK: answers(10, 1)}, backbone="package:other/model").write(tmp_path)
    first, second = sheets(tmp_path)
    assert first.id != second.id
    assert first.name == "small, package:other/model, classify, held out, all rows, data seed 0"
    assert second.name == "small, package:tiny/model, classify, held out, all rows, data seed 0"
    anchors = [sheet.anchor(row) for sheet in (first, second) for row in sheet.section.rows]
    assert len(set(anchors)) == len(anchors) == 7
    row = first.section.rows[0]
    assert first.link(row, TASK) == f"tasks/glue--sst2.html#{first.anchor(row)}"


def test_a_line_has_each_seed_and_the_validation_of_the_kept_epoch(tmp_path: Path) -> None:
    for seed, held in enumerate((0.7, 0.9)):
        validation = [
            EpochMetrics(epoch=number, train_loss=1.0, validation_loss=None, metrics={"accuracy": value})
            for number, value in ((1, 0.1), (2, held))
        ]
        Made(seed=seed, items={TASK: answers(20, 3 + seed, seed)}, validation=validation).write(tmp_path)
    (sheet,) = sheets(tmp_path)
    (group,) = sheet.studies[TASK].groups
    line = sheet.line(group.entries[0], TASK)
    assert [(seed.score, seed.validation) for seed in line.seeds] == [(0.85, 0.7), (0.8, 0.9)]
    assert line.validation is not None
    assert abs(line.validation - 0.8) < 1e-12
    assert (line.num_items, line.cut) == ((20,), (0,))


def test_a_task_that_was_not_trained_on_has_no_validation(tmp_path: Path) -> None:
    validation = [EpochMetrics(epoch=1, train_loss=1.0, validation_loss=None, metrics={"accuracy": 0.5})]
    made = Made(score=("glue/ax",), items={"glue/ax": answers(20, 3)}, validation=validation)
    made.write(tmp_path)
    (sheet,) = sheets(tmp_path)
    (group,) = sheet.studies["glue/ax"].groups
    assert sheet.line(group.entries[0], "glue/ax").validation is None


def test_targets_are_shown_where_they_tell_rows_apart(tmp_path: Path) -> None:
    for method, targets, fixed in (("lora", "linear", None), ("lora", "mlp", None), ("full", "all", "all")):
        made = Made(method, targets=targets, items={TASK: answers(10, 1)}, method_card={"targets": fixed})
        made.write(tmp_path)
    (sheet,) = sheets(tmp_path)
    assert sheet.targets == ("linear", "mlp")
    assert {row.targets: sheet.shows_targets(row) for row in sheet.section.rows} == {
        "linear": True, "mlp": True, "all": False
    }  # fmt: skip
