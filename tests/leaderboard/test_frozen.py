"""Frozen cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaderboard.frozen import frozen_cells, read_cells, write_cells
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.small_board import write_small_board


def test_cells_survive_their_text_and_hold_what_the_board_showed(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    cells = read_cells(write_cells(site))
    assert cells == tuple(cell for cell, _ in frozen_cells(site))
    assert len({cell.key for cell in cells}) == len(cells) == 9  # 3 rows on 2 tasks, and 3 with one
    found = {(cell.name.replace("\u00a0", " "), cell.task): cell for cell in cells}
    best = found["random_mask 1 %", "glue/sst2"]
    assert (best.mean, best.metric, best.unit) == (pytest.approx(0.89), "accuracy", "%")
    runs = {run.run_id: run.record for run in site.runs}
    assert {seed: runs[run_id].spec.seed for seed, (run_id, _) in best.results.items()} == {0: 0, 1: 1, 2: 2}
    assert all(runs[run_id].digests.items == digest for run_id, digest in best.results.values())
    failed = found["full", "glue/sst2"]
    assert (failed.mean, failed.low, failed.letters, failed.results) == (None, None, "", {})


@pytest.mark.parametrize("text", ["", "{}", '[{"task": "x"}]'])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        read_cells(text)


def test_the_text_is_sorted_and_has_no_numbers_that_json_lacks(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    text = write_cells(Site.of(load_records([tmp_path])))
    assert "NaN" not in text
    assert json.dumps(json.loads(text), indent=0, sort_keys=True) + "\n" == text
