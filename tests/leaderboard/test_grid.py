"""The large table: its blocks, columns, and what is said once."""

from __future__ import annotations

from pathlib import Path

from harness.spec import Budget
from leaderboard.grid import MOST_LINKED, Grid, grid
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers

TASK = "glue/sst2"


def table(folder: Path, stale: dict[str, str] | None = None) -> Grid:
    site = Site.of(load_records([folder]), stale or {})
    (sheet,) = site.sheets
    return grid(sheet, site.gallery.key(sheet.section), "")


def write(folder: Path, method: str, budget: int, wrong: int) -> list[str]:
    ids = []
    for seed in (0, 1):
        made = Made(method, budget=Budget(count=budget), trained=budget, seed=seed)
        made.items = {TASK: answers(100, wrong, seed)}
        made.write(folder)
        ids.append(made.run_id)
    return ids


def test_blocks_say_their_budget_and_what_they_could_have_found(tmp_path: Path) -> None:
    write(tmp_path, "lora", 22_713, 20)
    write(tmp_path, "fish", 22_713, 30)
    write(tmp_path, "pst", 227_132, 30)
    first, second = table(tmp_path).blocks
    assert (first.key, first.title, first.note) == (
        "22713",
        "22,713 parameters",
        "0.1\u00a0% of the backbone, 2 entries",
    )
    assert (second.title, second.note) == ("227,132 parameters", "1\u00a0% of the backbone, 1 entry")
    (least,) = [one for one in first.detectable if one]
    assert 1 < float(least) < 60
    assert not any(second.detectable)


def test_columns_without_any_value_are_left_out_and_scores_never(tmp_path: Path) -> None:
    write(tmp_path, "lora", 100, 20)
    keys = [field.key for field in table(tmp_path).fields]
    assert keys == ["trained", TASK, "budget", "head", "total", "stored_bits", "extra", "time"]
    assert all(len(line.cells) == len(keys) for block in table(tmp_path).blocks for line in block.lines)


def test_what_all_numbers_carry_is_said_once(tmp_path: Path) -> None:
    stale = dict.fromkeys([*write(tmp_path, "lora", 100, 20), *write(tmp_path, "fish", 100, 30)], "moved on")
    found = table(tmp_path, stale)
    assert [tuple(one) for one in found.marks] == [("stale", "stale: moved on")]
    assert not any("<em" in cell for block in found.blocks for line in block.lines for cell in line.cells)


def test_colours_are_those_of_the_charts_and_links_are_left_out_of_crowds(tmp_path: Path) -> None:
    write(tmp_path, "lora", 100, 20)
    found = table(tmp_path)
    (line,) = found.blocks[0].lines
    assert line.series is not None
    assert line.series.name == "lora"
    assert MOST_LINKED < 15_000
    assert not found.crowded
    assert f"href=tasks/glue--sst2.html#{line.anchor}>" in line.cells[1]
