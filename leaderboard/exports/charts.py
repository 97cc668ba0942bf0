"""The charts as files: SVG and PNG to take away, and what the interactive form needs."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboard.interactive import BUNDLE, bundle, data
from leaderboard.site import Page, Site


def pages(site: Site) -> Iterator[Page]:
    """Yield the files of every figure that has something to draw, and the script that draws them anew."""
    drawn = [figure for figure in site.gallery.every() if figure.is_drawn]
    if drawn:
        yield Page(BUNDLE, bundle())
    for figure in drawn:
        yield Page(figure.interactive, data(figure.name, figure.specification))
        for (_, place), content in zip(figure.downloads, figure.files(), strict=True):
            yield Page(place, content)
