"""Where the downloads of each view lie; ``leaderboard/exports`` makes them, and templates know this as ``files``."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from leaderboard import paths

if TYPE_CHECKING:
    from leaderboard.cells import Section
    from leaderboard.site import Site

Link = tuple[str, str]
"""What a download is called, and its path from the site's folder."""
INDEX = "downloads/index.html"
REFERENCES, PARQUET = "downloads/all/references.bib", "records.parquet"
MOST_IN_JSON = 2_000
"""Attempts up to which records.json is written: it would hold 100 MB of the largest records, more than editors and
browsers open. records.parquet always holds them all."""


def folder(section: Section) -> str:
    """Return the folder of a section's downloads, named like its page."""
    return f"downloads/{PurePosixPath(paths.board(section.ground)).stem}"


def in_json(site: Site) -> bool:
    """Return whether all records are few enough for one JSON file."""
    return site.loaded.num_records <= MOST_IN_JSON


def downloads_of(section: Section) -> list[Link]:
    """Return the downloads of one section."""
    files = {
        "CSV": "cells.csv",
        "JSON": "cells.json",
        "LaTeX": "table.tex",
        "BibTeX": "references.bib",
        "Every Eval Ever": "every_eval_ever.zip",
    }
    return [(label, f"{folder(section)}/{file}") for label, file in files.items()]


def downloads_of_gaps(section: Section) -> list[Link]:
    """Return the downloads of a section's plain compare page."""
    return [(label, f"{folder(section)}/differences.{label.lower()}") for label in ("CSV", "JSON")]


def downloads_of_all(site: Site) -> list[Link]:
    """Return the downloads of everything on a site."""
    whole = [("records.json", "records.json")] if in_json(site) else []
    return [
        ("records.csv", "records.csv"),
        ("cells.csv", "cells.csv"),
        *whole,
        (PARQUET, PARQUET),
        ("BibTeX", REFERENCES),
    ]


def downloads_of_task(task: str) -> list[Link]:
    """Return the downloads of a task's page."""
    return _of_page(f"downloads/tasks/{paths.slug(task)}")


def downloads_of_method(method: str) -> list[Link]:
    """Return the downloads of a method's page."""
    return _of_page(f"downloads/methods/{paths.slug(method)}")


def _of_page(stem: str) -> list[Link]:
    ends = {"CSV": "csv", "JSON": "json", "LaTeX": "tex", "BibTeX": "bib"}
    return [(label, f"{stem}.{end}") for label, end in ends.items()]


def downloads_of_run(run_id: str) -> list[Link]:
    """Return the downloads of a run's page."""
    return [("JSON", f"downloads/runs/{run_id}.json")]
