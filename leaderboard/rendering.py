"""Templates to text: everything is escaped, and nothing undefined is left out in silence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import JsonValue

from leaderboard import downloads, paths, wording
from leaderboard.marks import SHAPE_PATHS
from leaderboard.metricnames import metric_name
from leaderboard.pairs import entry_id

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, path: str, /, **values: object) -> str:
    """Return the text of the page at a path: its template with these values, and the way to the site's folder."""
    return environment().get_template(template).render(root=paths.root(path), path=path, **values)


@cache
def environment() -> Environment:
    """Return the templates' environment, with the filters and functions that they share."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "axis": wording.axis,
        "count": wording.count,
        "counts": wording.counts,
        "plural": wording.plural,
        "words": words,
        "metric": metric_name,
        "flat": flat,
        "seconds": seconds,
        "bytes": bytes_text,
    }
    made.globals |= {
        "number": wording.number,
        "bounds": wording.bounds,
        "of_seeds": wording.of_seeds,
        "paths": paths,
        "files": downloads,
        "entry_id": entry_id,
        "shape_paths": SHAPE_PATHS,
    }
    return made


def words(name: str) -> str:
    """Return a name as it is read."""
    return name.replace("_", " ")


def seconds(value: float | None) -> str:
    """Return a duration, or a dash where it is unknown."""
    if value is None:
        return "—"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def milliseconds(value: float | None) -> str:
    """Return a short duration of so many seconds, or a dash where it is unknown."""
    return "—" if value is None else f"{1000 * value:.1f} ms"


def bytes_text(value: int | None) -> str:
    """Return a size, or a dash where it is unknown."""
    if value is None:
        return "—"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} bytes"


def flat(values: Mapping[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as (dotted name, text) pairs in the order of names."""
    found: list[tuple[str, str]] = []
    for name in sorted(values):
        value = values[name]
        if isinstance(value, dict) and value:
            found += flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found.append((prefix + name, ", ".join(str(one) for one in value) or "—"))
        else:
            found.append((prefix + name, "—" if value is None or value == {} else str(value)))
    return found
