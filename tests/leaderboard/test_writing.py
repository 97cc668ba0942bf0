"""Pages to files, by one process or several."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from leaderboard.site import Page
from leaderboard.writing import AT_ONCE, ENOUGH, write

MANY = AT_ONCE * ENOUGH


def content(number: int) -> str:
    return f"page {number} by {os.getpid()}"


def fail() -> str:
    raise ValueError("this page cannot be made")


def test_all_pages_are_written_whoever_makes_them(tmp_path: Path) -> None:
    alone = [Page(f"runs/{number}.html", partial(content, number)) for number in range(2 * MANY)]
    rest = [Page("index.html", "text"), Page("static/x.bin", b"\x00"), Page("late.html", partial(content, -1))]
    written = write(iter([*alone, *rest]), tmp_path)
    assert written == tuple(sorted(page.path for page in [*alone, *rest]))
    texts = [(tmp_path / page.path).read_text() for page in alone]
    assert [text.split(" by ")[0] for text in texts] == [f"page {number}" for number in range(2 * MANY)]
    assert (tmp_path / "index.html").read_text() == "text"
    assert (tmp_path / "late.html").read_text() == f"page -1 by {os.getpid()}"


def test_few_pages_stay_in_this_process(tmp_path: Path) -> None:
    write([Page(f"{number}.html", partial(content, number)) for number in range(40)], tmp_path)
    assert {path.read_text().split(" by ")[1] for path in tmp_path.iterdir()} == {str(os.getpid())}


@pytest.mark.parametrize("num", [40, 2 * MANY])
def test_a_page_that_cannot_be_made_is_an_error(tmp_path: Path, num: int) -> None:
    pages = [Page(f"{number}.html", fail) for number in range(num)]
    with pytest.raises((ValueError, RuntimeError)):
        write(pages, tmp_path)
