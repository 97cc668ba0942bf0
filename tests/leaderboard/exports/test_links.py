"""The links to downloads, and the page of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard.exports import links
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.site import Site
from tests.leaderboard.small_board import write_small_board


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Site]:
    """Return the folder of the small board's site, and the site."""
    folder = tmp_path_factory.mktemp("board")
    write_small_board(folder / "records")
    build_board([folder / "records"], folder / "site")
    return folder / "site", Site.of(load_records([folder / "records"]))


def test_every_link_leads_to_a_file_that_holds_something(built: tuple[Path, Site]) -> None:
    folder, site = built
    found = links.downloads_of_all(site)
    for section in site.sections:
        found += links.downloads_of(section)
    for task in site.tasks:
        found += links.downloads_of_task(task)
    for method in site.methods:
        found += links.downloads_of_method(method)
    for run in site.runs:
        found += links.downloads_of_run(run.run_id)
    assert all((folder / place).stat().st_size > 20 for _, place in found)
    assert len({place for _, place in found}) == len(found) > 30


def test_the_page_links_to_each_download_of_a_table_and_of_all(built: tuple[Path, Site]) -> None:
    folder, site = built
    page = (folder / links.INDEX).read_text(encoding="utf-8")
    linked = set(re.findall(r'href="\.\./([^"]+)" download', page))
    (section,) = site.sections
    assert linked == {place for _, place in (*links.downloads_of_all(site), *links.downloads_of(section))}
