"""Pairs: what a reader who picks two entries of a section is told, computed here and looked up by the page.

An entry's name in addresses is made of what was asked, so that a link to a comparison stays good while the board
grows. Sections of up to ``NUM_ALL`` entries hold every pair; larger ones hold each entry against the best of the task,
the references, and its neighbours by trained parameters.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

from leaderboard import paths
from leaderboard.cells import Row, Section

NUM_ALL = 60


def section_id(section: Section) -> str:
    """Return a section's name in addresses: plain characters, no other section's."""
    return PurePosixPath(paths.board(section.ground)).stem


def entry_id(row: Row) -> str:
    """Return an entry's name in addresses: its method, and a digest of what was asked of it."""
    asked = json.dumps([row.method, row.values, row.budget, row.targets, row.settings])
    return f"{paths.slug(row.method)[:40]}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def data_path(section: Section) -> str:
    """Return where the pairs of a section lie, for the script."""
    return f"data/pairs-{section_id(section)}.js"


def plain_path(section: Section) -> str:
    """Return where the pairs with the best lie as a plain table."""
    return f"compare/{section_id(section)}.html"
