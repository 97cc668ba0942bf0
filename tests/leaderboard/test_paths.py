"""File names of pages: plain names stay readable, strange ones stay apart and inside their folder."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import paths


@pytest.mark.parametrize(
    ("name", "expected"), [("glue/sst2", "glue--sst2"), ("random_mask", "random_mask"), ("mmlu/all", "mmlu--all")]
)
def test_plain_names_are_their_own_file_names(name: str, expected: str) -> None:
    assert paths.slug(name) == expected


@given(st.text(), st.text())
def test_no_two_names_share_a_file_and_none_leaves_its_folder(first: str, second: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", paths.slug(first))
    assert (paths.slug(first) == paths.slug(second)) == (first == second)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/../b", "", ".", "A", "a--b", "\ud800", "x" * 300])
def test_hostile_names_are_digested(name: str) -> None:
    for place in (paths.task(name), paths.method(name), paths.board((name, name))):
        assert len(PurePosixPath(place).parts) == 2
        assert ".." not in place
        assert len(place) < 120


def test_a_page_finds_its_way_back() -> None:
    assert paths.root(paths.INDEX) == ""
    assert paths.root(paths.task("glue/sst2")) == "../"
