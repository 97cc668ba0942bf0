"""A JSON file for each run: its attempts as they were written, and whether it is stale."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from leaderboard.downloads import downloads_of_run
from leaderboard.exports.records import records_json
from leaderboard.load import Run
from leaderboard.site import Page, Site

EACH_ALONE = True
"""A file hangs on its own run: see ``leaderboard.site.makers``."""


def pages(site: Site) -> Iterator[Page]:
    """Yield a file for each run."""
    for run in site.runs:
        ((_, place),) = downloads_of_run(run.run_id)
        yield Page(place, partial(content_of, site, run))


def content_of(site: Site, run: Run) -> str:
    """Return the text of a run's file."""
    stale = {run.run_id: site.stale[run.run_id]} if run.run_id in site.stale else {}
    return records_json([run], stale)
