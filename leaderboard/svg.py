"""Drawings as SVG: static, small, without style attributes or ids, and in the colours of where they stand.

Drawing takes 50 to 80 ms a chart. What was drawn once is kept in the user's cache under a digest of all that decides
its bytes, so that an unchanged board draws nothing.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from harness.cache import made
from harness.errors import UnwritableFolder
from leaderboard.chart import FAINT, GROUND, INK, Specification
from leaderboard.marks import NUM_COLOURS, marker

VARIABLES = {INK: "--chart-ink", FAINT: "--chart-faint", GROUND: "--ground"} | {
    marker(hue): f"--series-{hue + 1}" for hue in range(NUM_COLOURS)
}
"""Marker value to the style sheet's variable that takes its place in a page."""
STYLE = Path(__file__).parent / "static" / "style.css"
VERSION = 1
"""Raised when ``_small`` changes, as the cache then holds other bytes."""


def inline(text: str, title: str) -> str:
    """Return a drawing as an element for a page: its own label, and colours that follow the page."""
    for value, variable in VARIABLES.items():
        text = text.replace(value, f"var({variable})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def standalone(text: str, title: str) -> str:
    """Return a drawing as a file of its own, in the colours of the light page on its ground."""
    for value, colour in light().items():
        text = text.replace(value, colour)
    _, _, width, height = re.findall(r"-?[\d.]+", text[: text.index(">")])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
    ground = f'<title>{html.escape(title)}</title><rect width="{width}" height="{height}" fill="{light()[GROUND]}"/>'
    first = text.index(">") + 1
    return head + text[len("<svg ") : first] + ground + text[first:] + "\n"


def png(file: str) -> bytes:
    """Return the picture of a drawing's file at twice its size, from the cache where it is there."""
    key = hashlib.sha256(f"{version('vl-convert-python')} {file}".encode()).hexdigest()
    with suppress(UnwritableFolder, OSError):
        return made(f"charts/{key}.png", lambda place: _write(place, _png(file))).read_bytes()
    return _png(file)


def _png(file: str) -> bytes:
    return bytes(vl_convert.svg_to_png(file, scale=2))


def _write(place: Path, content: bytes) -> None:
    place.write_bytes(content)


@cache
def light() -> Mapping[str, str]:
    """Return marker value to colour on the light page, as the style sheet has it: its first definition."""
    sheet = STYLE.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, colour in re.findall(r"(--[\w-]+):\s*(?:light-dark\()?(#[0-9a-fA-F]{3,8})", sheet):
        found.setdefault(name, colour)
    return {value: found[variable] for value, variable in VARIABLES.items()}


def drawn(specification: Specification) -> str:
    """Return the drawing with marker colours, from the cache where it is there."""
    plain = json.dumps(specification, sort_keys=True)
    key = hashlib.sha256(f"{VERSION} {version('vl-convert-python')} {plain}".encode()).hexdigest()

    with suppress(UnwritableFolder, OSError):
        return made(f"charts/{key}.svg", lambda place: _write(place, _draw(specification).encode())).read_text("utf-8")
    return _draw(specification)


def _draw(specification: Specification) -> str:
    # A NUL in a name makes the library end the whole process; JSON never holds one otherwise.
    text = json.dumps(specification).replace("\\u0000", "\\ufffd")
    return _small(vl_convert.vegalite_to_svg(text))


def _small(svg: str) -> str:
    """Take out what a drawing does not need: two thirds of its bytes name roles, groups and defaults."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", svg, count=1)
    svg = re.sub(r'<path class="(background|foreground)"[^>]*/>', "", svg)
    svg = re.sub(r"<[a-z][^>]*>", lambda tag: _small_tag(tag[0]), svg)
    before = ""
    while before != svg:
        before, svg = svg, re.sub(r"<g[^>]*></g>", "", svg)
    return svg


def _small_tag(tag: str) -> str:
    tag = re.sub(r' (class|role|aria-[a-z]+|pointer-events|font-family)="[^"]*"', "", tag)
    tag = re.sub(r' (opacity="1"|transform="translate\(0,0\)"|[xy]2="0"|stroke-dasharray="1,0")', "", tag)
    return re.sub(r'(?<= )(transform|d|[xy]2?)="[^"]*"', lambda place: _rounded(place[0]), tag)


def _rounded(places: str) -> str:
    """Return places in pixels to one decimal."""
    return re.sub(r"-?\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), places)
