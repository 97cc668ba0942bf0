"""The interactive form of a chart: its specification with what a reader may move, and the one script that draws it.

Pages that are opened from disk may not fetch, so a chart's data is a script of its own that ``static/chart.js`` adds to
the page when a reader asks for it. The policy of the pages forbids ``eval``: Vega interprets its expressions instead.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from harness.cache import made
from harness.errors import UnwritableFolder
from leaderboard.chart import Specification
from leaderboard.marks import HEIGHT, WIDTH
from leaderboard.svg import VARIABLES

BUNDLE = "static/vega.js"
"""Where the script lies in the site: Vega, Vega-Lite and their loader, 0.9 MB, once for all charts."""
FADED = 0.12
"""Opacity of what is not looked at."""


def data(name: str, specification: Specification) -> str:
    """Return the script that hands a chart's data to ``static/chart.js``; plain ASCII, so that no text ends it."""
    content = {"spec": movable(specification), "colours": dict(VARIABLES), "width": WIDTH, "height": HEIGHT}
    return f"paretuneChart({json.dumps(name)}, {json.dumps(content, separators=(',', ':'))});\n".replace("<", "\\u003c")


def movable(specification: Specification) -> Specification:
    """Return a specification whose logarithmic axis can be moved and whose methods can be singled out."""
    chart = copy.deepcopy(specification)
    x = chart["layer"][0]["encoding"]["x"]
    low, high = x["scale"].pop("domain")
    x["scale"] |= {"domainMin": {"expr": "low"}, "domainMax": {"expr": "high"}}
    at, x["axis"]["values"] = x["axis"]["values"], {"expr": "at"}
    start = {"low": low, "high": high, "focus": "", "at": at}
    chart["params"] = [{"name": name, "value": value} for name, value in start.items()]
    for layer in chart["layer"][1:]:
        mark = layer["mark"]
        mark["clip"] = True
        if "name" in chart["datasets"][layer["data"]["name"]][0]:
            clear = {"test": "focus == '' || focus == datum.name", "value": mark.get("opacity", 1)}
            layer["encoding"]["opacity"] = {"condition": clear, "value": min(FADED, mark.get("opacity", 1) / 4)}
    return chart


@cache
def bundle() -> str:
    """Return the script, from the user's cache where it is there: making it takes a second."""

    def make(place: Path) -> None:
        place.write_text(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"), encoding="utf-8")

    with suppress(UnwritableFolder, OSError):
        found = made(f"charts/vega-{version('vl-convert-python')}.js", make)
        return found.read_text(encoding="utf-8")
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
