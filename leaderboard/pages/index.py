"""The first page: what may be compared, as charts and tables, and a page of its own for every other section."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboard import paths, wording
from leaderboard.averages import average, averages_of
from leaderboard.cells import Cell, Section
from leaderboard.columns import Column, Measure, headline
from leaderboard.load import Run
from leaderboard.rendering import render
from leaderboard.site import Page, Site

PERCENT = Measure("average", True, "%", None, None)
"""How averages of scores between 0 and 1 are shown."""


def pages(site: Site) -> Iterator[Page]:
    """Yield the index, with the largest section, and a page for each other section."""
    places = places_of(site)
    shown: list[Section | None] = [*site.sections]
    for section in shown or [None]:
        path = places[section] if section is not None else paths.INDEX
        text = render(
            "index.html",
            path,
            site=site,
            section=section,
            places=places,
            totals=totals(site),
            average=average,
            averages_of=averages_of,
            figures=site.gallery.figures,
            key=site.gallery.key,
            percent=PERCENT,
            statuses=statuses,
            state_marks=state_marks,
            undefined_seeds=undefined_seeds,
        )
        yield Page(path, text)


def places_of(site: Site) -> dict[Section, str]:
    """Return where each section is shown: the one with most runs is the index."""
    if not site.sections:
        return {}
    first = max(site.sections, key=num_results)  # the first of equals
    return {one: paths.INDEX if one is first else paths.board(one.ground) for one in site.sections}


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
