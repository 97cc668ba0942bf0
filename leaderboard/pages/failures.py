"""The page of what has no number to show: failed and not applicable runs, stale ones, and files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from leaderboard import paths
from leaderboard.rendering import render
from leaderboard.site import Page, Site
from leaderboard.troubles import stale_runs, troubles, without_result


def pages(site: Site) -> Iterator[Page]:
    """Yield the page."""
    bad = without_result(site.runs)
    found = troubles(site.runs)
    values = {
        "site": site,
        "bad": bad,
        "failed": [trouble for trouble in found if trouble.status != "not_applicable"],
        "senseless": [trouble for trouble in found if trouble.status == "not_applicable"],
        "stale": stale_runs(site.runs, site.stale),
        "counts": counts(site),
    }
    yield Page(paths.FAILURES, render("failures.html", paths.FAILURES, **values))


def counts(site: Site) -> list[tuple[str, int]]:
    """Return how many runs there are of each kind that this page is about, none left out for being none."""
    statuses = Counter(run.record.status for run in site.runs if run.record.status != "ok")
    senseless = statuses.pop("not_applicable", 0)
    found = sorted((status.replace("_", " "), number) for status, number in statuses.items())
    return [
        *(found or [("failed", 0)]),
        ("not applicable", senseless),
        ("stale", sum(run.run_id in site.stale for run in site.runs)),
        ("unfinished attempts", site.loaded.num_unfinished),
        ("unreadable files", len(site.unreadable)),
    ]
