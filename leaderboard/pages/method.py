"""A page for each method: its card, its budget curves, how the learning rate moves it, and every run of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from leaderboard import paths
from leaderboard.cards import changed, method_facts, versions
from leaderboard.cells import Row
from leaderboard.load import Run
from leaderboard.pages.index import places_of
from leaderboard.pages.task import Superseded
from leaderboard.rendering import render
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site


class Part(NamedTuple):
    """A method in one section."""

    sheet: Sheet
    rows: tuple[Row, ...]


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each method."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in site.runs:
        runs[run.record.spec.method].append(run)
    parts = parts_of(site)
    places = places_of(site)
    for method in site.methods:
        found = versions((run.record.method_card, run) for run in runs[method])
        card = found[0].card if found else {}
        text = render(
            "method.html",
            paths.method(method),
            site=site,
            method=method,
            card=card,
            facts=method_facts(card),
            superseded=[Superseded(old, changed(old.card, card)) for old in found[1:]],
            parts=parts[method],
            places=places,
        )
        yield Page(paths.method(method), text)


def parts_of(site: Site) -> dict[str, list[Part]]:
    """Return the sections of each method, with its rows there."""
    found: dict[str, list[Part]] = defaultdict(list)
    for sheet in site.sheets:
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in sheet.section.rows:
            rows[row.method].append(row)
        for method, own in rows.items():
            found[method].append(Part(sheet, tuple(own)))
    return found
