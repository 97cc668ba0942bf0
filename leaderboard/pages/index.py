"""The first page: what may be compared, as charts and one table, and a page of its own for every other section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from leaderboard import paths, wording
from leaderboard.cells import Cell, Section
from leaderboard.columns import Column, headline
from leaderboard.figures import trains_everything
from leaderboard.grid import grid
from leaderboard.load import Run
from leaderboard.picker import picker
from leaderboard.rendering import render
from leaderboard.site import Page, Site

FIRST_FIGURES = 3
"""Charts that stand open; the others of a section lie behind a fold, so that the table is not far."""


def pages(site: Site) -> Iterator[Page]:
    """Yield the index, with the largest section, and a page for each other section."""
    places = places_of(site)
    if not places:
        yield Page(paths.INDEX, render("index.html", paths.INDEX, site=site, section=None, totals=totals(site)))
    for sheet in site.sheets:
        section, path = sheet.section, places[sheet.section]
        key = site.gallery.key(section)
        table = grid(sheet, key, paths.root(path))
        figures = site.gallery.fitting(section)
        text = render(
            "index.html",
            path,
            site=site,
            section=section,
            totals=totals(site),
            facets=picker(section, places, num_results),
            listed=listed(places),
            grid=table,
            name=name_of(section),
            figures=figures[:FIRST_FIGURES] if table.crowded else figures,
            num_open=FIRST_FIGURES,
            key=key,
            state_marks=state_marks,
        )
        yield Page(path, text)


def places_of(site: Site) -> dict[Section, str]:
    """Return where each section is shown; one is the index, the first of equals.

    It has a reference, if any has; among those it has most numbers that may be ranked, then most results. Without a
    reference nobody sees what a method gains or gives up, and a large section whose numbers are all out of date would
    greet a reader with nothing to compare.
    """
    if not site.sections:
        return {}
    first = max(site.sections, key=lambda section: (has_reference(section), num_ranked(section), num_results(section)))
    return {one: paths.INDEX if one is first else paths.board(one.ground) for one in site.sections}


def name_of(section: Section) -> str:
    """Return what names a section in an address, wherever it is shown."""
    return PurePosixPath(paths.board(section.ground)).stem


def listed(places: Mapping[Section, str]) -> list[tuple[Section, str, str]]:
    """Return every section with its page and name."""
    return [(section, place, name_of(section)) for section, place in places.items()]


def has_reference(section: Section) -> bool:
    """Return whether what trains everything or nothing has a number that may be ranked."""
    rows = (row for row in section.rows if row.size == 0 or trains_everything(row))
    return any(cell.comparable for row in rows for cell in row.cells.values())


def num_ranked(section: Section) -> int:
    """Return how many numbers of a section may be ranked."""
    return sum(cell.comparable for row in section.rows for cell in row.cells.values())


def num_results(section: Section) -> int:
    """Return how many results a section shows."""
    return sum(len(cell.good) for row in section.rows for cell in row.cells.values())


def totals(site: Site) -> list[str]:
    """Count what the board stands on, for its first lines."""
    finals = sum(run.record.spec.purpose == "final" for run in site.runs)
    trials = len(site.runs) - finals
    bad = sum(run.record.status != "ok" for run in site.runs)
    texts = [wording.plural(finals, "final run"), wording.plural(site.loaded.num_records, "attempt")]
    texts += [wording.plural(trials, "search trial")] if trials else []
    texts.append(f"{bad:,} not ok" if bad else "all ok")
    texts += [f"{site.loaded.num_unfinished:,} started without a record yet"] if site.loaded.num_unfinished else []
    return texts


def statuses(cell: Cell) -> list[tuple[str, str, list[Run]]]:
    """Return (status, reason, runs) of a cell's runs without a result."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in cell.bad:
        reason = run.record.error.message if run.record.error else ""
        found.setdefault((run.record.status, reason), []).append(run)
    return [(status, reason, runs) for (status, reason), runs in sorted(found.items())]


def state_marks(column: Column) -> list[str]:
    """Return the data marks of a whole column; where runs differ, each cell carries its own."""
    return [f"{state} data" for state in column.states] if len(column.states) == 1 else []


def undefined_seeds(cell: Cell, column: Column) -> int:
    """Return on how many seeds a cell's metric has no value."""
    return sum(headline(run, column) is None for run in cell.good)
