"""Pairs of entries: names in addresses, and what is computed for which pair."""

from __future__ import annotations

import re
from pathlib import Path

from leaderboard.load import load_records
from leaderboard.pairs import data_path, entry_id, plain_path, section_id
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def site_of(folder: Path) -> Site:
    return Site.of(load_records([folder]))


def test_entries_are_named_by_what_was_asked_and_keep_their_names_as_the_board_grows(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    (section,) = site_of(tmp_path).sections
    before = [entry_id(row) for row in section.rows]
    assert len(set(before)) == len(before) == 6
    Made("../<i>", {"x": 1}, items={"glue/sst2": answers(100, 1)}).write(tmp_path)
    (grown,) = site_of(tmp_path).sections
    after = [entry_id(row) for row in grown.rows]
    assert set(before) < set(after)
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in (*after, section_id(grown)))
    assert section_id(grown) == section_id(section)
    assert data_path(section) == f"data/pairs-{section_id(section)}.js"
    assert plain_path(section) == f"compare/{section_id(section)}.html"
