"""What pages know, and how they are found."""

from __future__ import annotations

from pathlib import Path

from leaderboard.load import load_records
from leaderboard.site import Site, makers
from tests.leaderboard.small_board import write_small_board


def test_a_site_names_its_tasks_and_methods(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    assert site.tasks == ("glue/cola", "glue/sst2")
    assert site.methods == ("full", "head_only", "lora", "pst", "random_mask")
    assert len(site.sections) == 1
    assert site.unreadable == ()


def test_every_kind_of_page_is_found_and_no_two_pages_share_a_path(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    found = list(makers())
    paths = [page.path for maker in found for page in maker(site)]
    assert len(found) >= 4
    assert len(set(paths)) == len(paths) > 21
    assert {"index.html", "failures.html", "records.csv"} <= set(paths)
    assert [maker.__module__ for maker in found] == [maker.__module__ for maker in makers()]
