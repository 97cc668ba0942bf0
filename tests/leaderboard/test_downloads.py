"""Every view leads to its downloads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard import downloads, paths
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.pairs import plain_path
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
    found = downloads.downloads_of_all(site)
    for section in site.sections:
        found += [*downloads.downloads_of(section), *downloads.downloads_of_gaps(section)]
    for task in site.tasks:
        found += downloads.downloads_of_task(task)
    for method in site.methods:
        found += downloads.downloads_of_method(method)
    for run in site.runs:
        found += downloads.downloads_of_run(run.run_id)
    assert all((folder / place).stat().st_size > 20 for _, place in found)
    assert len({place for _, place in found}) == len(found) > 30


def test_each_kind_of_page_links_to_its_downloads(built: tuple[Path, Site]) -> None:
    folder, site = built
    (section,) = site.sections
    run = site.runs[0]
    places = {
        paths.INDEX: [*downloads.downloads_of_all(site), *downloads.downloads_of(section)],
        downloads.INDEX: [*downloads.downloads_of_all(site), *downloads.downloads_of(section)],
        plain_path(section): downloads.downloads_of_gaps(section),
        paths.task("glue/sst2"): downloads.downloads_of_task("glue/sst2"),
        paths.method("random_mask"): downloads.downloads_of_method("random_mask"),
        paths.run(run.run_id): downloads.downloads_of_run(run.run_id),
    }
    for path, links in places.items():
        page = (folder / path).read_text(encoding="utf-8").replace("\u00a0", " ")
        for label, place in links:
            assert re.search(rf'<a href="{paths.root(path)}{re.escape(place)}"[^>]*>{re.escape(label)}</a>', page), path
    for path in (paths.INDEX, paths.task("glue/sst2"), paths.method("random_mask")):
        assert {label for label, _ in places[path]} >= {"CSV", "JSON", "LaTeX", "BibTeX"}
    figures = re.findall(r'class="chart-files">.*?</p>', (folder / paths.INDEX).read_text(encoding="utf-8"))
    assert len(figures) == len(section.columns)
    assert all(">SVG</a>" in one and ">PNG</a>" in one for one in figures)
