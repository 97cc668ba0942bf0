"""The page that lists all downloads and says what is in them."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboard import downloads
from leaderboard.rendering import render
from leaderboard.site import Page, Site


def pages(site: Site) -> Iterator[Page]:
    """Yield the page."""
    yield Page(downloads.INDEX, render("downloads.html", downloads.INDEX, site=site))
