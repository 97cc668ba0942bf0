"""Where each page lies in the site: file names made of names that strangers may have chosen."""

from __future__ import annotations

import hashlib
import re

INDEX, COMPARE, METHODOLOGY, FAILURES, ARCHIVE = (
    "index.html",
    "compare.html",
    "methodology.html",
    "failures.html",
    "archive.html",
)
_LONGEST = 80
_DIGESTED = re.compile(r"(^|-)[0-9a-f]{8}$")
"""What a digest makes: a plain name of this form would take another's place."""


def slug(name: str) -> str:
    """Return a file name without extension for a name: the name itself where it is plain, ``/`` written ``--``.

    Any other name is cut down to plain characters and told apart by a digest, so that no two names share a file and
    none leaves its folder.
    """
    parts = [re.sub(r"[^a-z0-9_]+", "-", part).strip("-") for part in name.lower().split("/")]
    plain = "--".join(parts)[:_LONGEST].strip("-")
    if plain and plain == name.replace("/", "--") and not _DIGESTED.search(plain):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def task(name: str) -> str:
    """Return the path of a task's page."""
    return f"tasks/{slug(name)}.html"


def method(name: str) -> str:
    """Return the path of a method's page."""
    return f"methods/{slug(name)}.html"


def run(run_id: str) -> str:
    """Return the path of a run's page; a run id is a digest that was checked when its record was read."""
    return f"runs/{run_id}.html"


def board(ground: tuple[object, ...]) -> str:
    """Return the path of the page of one section, by what makes it one."""
    suite, backbone, *others = map(str, ground)
    digest = hashlib.sha256("\n".join((suite, backbone, *others)).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"boards/{slug(suite)[:40] or 'no-suite'}-{digest}.html"


def root(path: str) -> str:
    """Return the way from a page to the site's own folder."""
    return "../" * path.count("/")
