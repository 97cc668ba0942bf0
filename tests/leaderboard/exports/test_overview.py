"""The page of all downloads."""

from __future__ import annotations

from pathlib import Path

from leaderboard import downloads
from leaderboard.page import build_board
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import words


def test_it_lists_each_table_with_what_makes_it_one_and_says_what_is_in_the_files(tmp_path: Path) -> None:
    for suite, size in (("a", None), ("b", 40)):
        made = Made(suite=suite, items={"glue/sst2": answers(40, 4)}, spec={"sizes": {"test": size}} if size else {})
        made.write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    text = words(tmp_path / "site" / downloads.INDEX)
    row = "package:tiny/model classify held out {} CSV · JSON · LaTeX · BibTeX · Every Eval Ever"
    assert "a " + row.format("all") in text
    assert "b " + row.format("test 40") in text
    assert "has an apostrophe before it" in text
    assert "records.json" in text
    assert "There is no records.json" not in text


def test_a_board_without_records_has_the_page_too(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    build_board([tmp_path / "records"], tmp_path / "site")
    assert "records.csv" in words(tmp_path / "site" / downloads.INDEX)
