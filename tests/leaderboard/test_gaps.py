"""The files beside the plain compare page: the same differences, unscaled, with a reason where there is none."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from leaderboard.cells import Section
from leaderboard.compare import compare
from leaderboard.gaps import BEST, FIELDS, Line, lines, to_csv, to_json
from leaderboard.load import load_records
from leaderboard.pairs import pairs_of
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def found_in(folder: Path) -> tuple[Section, list[Line]]:
    (section,) = Site.of(load_records([folder])).sections
    return section, list(lines(section, pairs_of(section)))


def test_every_entry_of_every_task_has_a_line_with_its_difference_or_why_there_is_none(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    section, found = found_in(tmp_path)
    assert len(found) == len(section.rows) * len(section.columns)
    assert all(set(line) <= set(FIELDS) for line in found)
    by_label = {row.label: row for row in section.rows}
    of_task = {str(line["entry"]).replace("\u00a0", " "): line for line in found if line["task"] == "glue/sst2"}
    best, other = by_label["random_mask 1 %"], by_label["random_mask 0.01 %"]
    assert of_task[best.label] | {"note": BEST} == of_task[best.label]
    line = of_task[other.label]
    expected = compare(other.cells["glue/sst2"].good, best.cells["glue/sst2"].good, "glue/sst2")
    assert [line[name] for name in ("difference", "low", "high")] == pytest.approx(expected[:3])
    assert (line["seeds"], line["items"], line["interval"]) == (3, 100, "seeds and items")
    assert isinstance(line["won"], int)
    assert isinstance(line["lost"], int)
    assert line["won"] - line["lost"] < 0
    assert of_task["full"]["note"] == "diverged"
    assert "difference" not in of_task["full"]


def test_both_files_hold_the_lines(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    section, found = found_in(tmp_path)
    read = list(csv.DictReader(io.StringIO(to_csv(found))))
    content = json.loads(to_json(section, found))
    assert content["ground"]["suite"] == "small"
    assert len(read) == len(content["differences"]) == len(found)
    for row, one, line in zip(read, content["differences"], found, strict=True):
        assert row["entry"] == one["entry"] == line["entry"]
        assert one["difference"] == line.get("difference")
        assert row["difference"] == ("" if one["difference"] is None else repr(one["difference"]))


def test_a_stranger_s_name_begins_no_formula(tmp_path: Path) -> None:
    for method in ("=1+1", "lora"):
        Made(method, items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    read = list(csv.DictReader(io.StringIO(to_csv(found_in(tmp_path)[1]))))
    assert any(row["entry"].startswith("'=1+1") for row in read)
    assert not any(row["entry"].startswith("=") for row in read)
