"""The page of what has no number."""

from __future__ import annotations

from pathlib import Path

from leaderboard.load import load_records
from leaderboard.pages.failures import pages, without_result
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import visible, write_small_board


def test_failures_come_before_what_makes_no_sense(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    statuses = [run.record.status for run in without_result(load_records([tmp_path]).runs)]
    assert statuses == ["diverged", "not_applicable"]


def test_a_board_without_failures_says_so(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    (page,) = pages(Site.of(load_records([tmp_path])))
    assert "Every run here has a result" in visible(str(page.content))
