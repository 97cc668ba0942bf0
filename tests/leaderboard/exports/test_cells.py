"""The downloads of cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from harness.record import Failure
from leaderboard.downloads import downloads_of, downloads_of_method, downloads_of_task
from leaderboard.exports.cells import FIELDS, cells_csv, cells_json, lines
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.sheet import Sheet
from leaderboard.site import Site
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def test_cells_csv_has_a_line_per_cell_with_its_interval_seeds_and_marks(tmp_path: Path) -> None:
    for seed in range(2):
        made = Made(values={"rank": 8}, seed=seed, items={"glue/sst2": answers(50, 10 + seed, seed)})
        made.write(tmp_path)
    Made("full", status="failed", error=Failure(kind="E", message="m")).write(tmp_path)
    table = tabulate(load_records([tmp_path]).runs, {made.run_id: "moved on"})
    found = list(csv.DictReader(cells_csv(lines(Sheet(table.sections[0]))).splitlines()))
    assert tuple(found[0]) == FIELDS
    good, bad = found
    interval = table.sections[0].rows[0].cells["glue/sst2"].interval
    assert interval is not None
    assert (float(good["mean"]), float(good["low"]), float(good["high"])) == interval[:3]
    chosen = ("method", "values", "task", "trained", "seeds", "seeds_asked", "items", "compared", "marks")
    assert [good[name] for name in chosen] == [
        "lora", '{"rank": 8}', "glue/sst2", "22000", "0 1", "0 1", "50", "0", "stale: moved on",
    ]  # fmt: skip
    assert [bad[name] for name in chosen] == ["full", "{}", "glue/sst2", "", "", "0 1", "", "0", ""]
    assert (bad["mean"], bad["low"], bad["high"]) == ("", "", "")


def test_json_of_a_section_has_types_and_null_for_what_is_unknown(tmp_path: Path) -> None:
    for seed in range(2):
        Made(values={"rank": 8}, seed=seed, items={"glue/sst2": answers(50, 10, seed)}).write(tmp_path)
    Made("full", status="failed", error=Failure(kind="E", message="m")).write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    content = json.loads(cells_json(section, lines(Sheet(section))))
    good, bad = content["cells"]
    assert (good["values"], good["seeds"], good["trained"], good["compared"]) == ({"rank": 8}, [0, 1], [22000], True)
    assert good["mean"] == 0.8
    assert (bad["mean"], bad["low"], bad["interval"], bad["seeds"]) == (None, None, None, [])
    assert content["ground"]["suite"] == "small"
    (column,) = content["columns"]
    assert (column["task"], column["higher_is_better"], column["unit"]) == ("glue/sst2", True, "%")


def test_each_section_task_and_method_has_its_cells(tmp_path: Path) -> None:
    write_small_board(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    site = Site.of(load_records([tmp_path / "records"]))
    whole = (tmp_path / "site" / "cells.csv").read_text(encoding="utf-8")
    task = dict(downloads_of_task("glue/cola"))
    of_task = (tmp_path / "site" / task["CSV"]).read_text(encoding="utf-8").splitlines()
    assert of_task == [line for line in whole.splitlines() if ",glue/cola," in line or line.startswith("suite,")]
    place = dict(downloads_of_method("random_mask"))["CSV"]
    of_method = list(csv.DictReader((tmp_path / "site" / place).read_text(encoding="utf-8").splitlines()))
    assert [(line["budget"], line["task"]) for line in of_method] == [
        ("0.01 %", "glue/cola"), ("0.01 %", "glue/sst2"), ("1 %", "glue/cola"), ("1 %", "glue/sst2"),
    ]  # fmt: skip
    (section,) = site.sections
    assert (tmp_path / "site" / dict(downloads_of(section))["CSV"]).read_text(encoding="utf-8") == whole
    content = json.loads((tmp_path / "site" / task["JSON"]).read_text(encoding="utf-8"))
    (part,) = content["sections"]
    assert part["ground"]["suite"] == "small"
    assert [column["task"] for column in part["columns"]] == ["glue/cola"]
    assert [cell["method"] for cell in part["cells"]] == [line.split(",")[6] for line in of_task[1:]]
    place = dict(downloads_of_method("random_mask"))["JSON"]
    (part,) = json.loads((tmp_path / "site" / place).read_text(encoding="utf-8"))["sections"]
    assert [column["task"] for column in part["columns"]] == ["glue/cola", "glue/sst2"]
    assert {cell["method"] for cell in part["cells"]} == {"random_mask"}
