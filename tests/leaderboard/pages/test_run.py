"""A page for each run; what it says is held by the tests of the whole board."""

from __future__ import annotations

from pathlib import Path

from leaderboard.load import load_records
from leaderboard.pages.run import headline, pages, plots
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers


def test_every_run_has_a_page_named_by_its_id(tmp_path: Path) -> None:
    made = [Made(seed=seed, items={"glue/sst2": answers(20, 3)}) for seed in range(3)]
    for one in made:
        one.write(tmp_path)
    site = Site.of(load_records([tmp_path]))
    assert {page.path for page in pages(site)} == {f"runs/{one.run_id}.html" for one in made}
    assert headline(site.runs[0], "glue/sst2")[0] == "accuracy"
    assert plots(site.runs[0]) == []
