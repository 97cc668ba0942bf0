"""The page of what has no number to show: failed and not applicable runs, stale ones, and files that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leaderboard import paths
from leaderboard.load import Run
from leaderboard.rendering import render
from leaderboard.site import Page, Site


def pages(site: Site) -> Iterator[Page]:
    """Yield the page."""
    stale = {run.run_id: (run, site.stale[run.run_id]) for run in site.runs if run.run_id in site.stale}
    values = {"site": site, "bad": without_result(site.runs), "stale": stale}
    yield Page(paths.FAILURES, render("failures.html", paths.FAILURES, **values))


def without_result(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without a result, those that make no sense last."""
    bad = [run for run in runs if run.record.status != "ok"]
    order = {run.run_id: (run.record.status == "not_applicable", run.record.status) for run in bad}
    return sorted(bad, key=lambda run: (*order[run.run_id], run.record.spec.method, run.record.spec.train, run.run_id))
