"""Records written by a stranger who wants more than to be read, and what may never stand in a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import html5lib
from hypothesis import strategies as st

from harness.record import EpochMetrics, Failure
from tests.leaderboard.making import Made, answers, card

FRAGMENTS = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!--", "-->", "]]>", "<![CDATA[",
    "'\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "data:text/html,<script>alert(1)</script>",
    "{{ 7 * 7 }}", "{% raw %}", "${7*7}", "../../../etc/passwd", "..\\..\\x", "/etc/passwd", "http://evil.example/x",
    "&lt;script&gt;", "&#x3c;script&#x3e;", "\u202e", "\u2028", "\x00", "\x1b[31m", "\r\n", "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>", "</textarea>", "</title>", "<base href=//evil>", "=1+1", "\\input{x}", "%0a",
    "A" * 300,
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=12), min_size=1, max_size=3).map("".join)
SCHEMES = {"", "http", "https"}


def write(folder: Path, text: str) -> None:
    """Write records that say one text wherever a record can say anything."""
    printable = text.encode("utf-8", "replace").decode()
    cards = {"evil/task": {**card("evil/task"), "title": printable, "paper": printable, "url": printable}}
    cards["evil/task"]["source"] = {"hub": printable, "config": printable, "revision": printable}
    epochs = [
        EpochMetrics(epoch=number, train_loss=1.0, validation_loss=0.5, metrics={printable: 0.5}) for number in (1, 2)
    ]
    for method in (printable, "lora"):
        for seed in range(2):
            made = Made(method, {printable: printable}, seed=seed, suite=printable, task="evil/task", cards=cards)
            made.items, made.state, made.validation = {"evil/task": answers(20, 3 + seed)}, printable, epochs
            made.notes, made.environment = [printable], {printable: printable, "torch": printable, "seed": seed}
            made.write(folder)
    error = Failure(kind=printable, message=printable, log_tail=(printable, printable))
    Made(printable, seed=7, suite=printable, task="evil/task", cards=cards, status="failed", error=error).write(folder)


def faults(page: Path, site: Path) -> Iterator[str]:
    """Yield what a page has that may never be there: foreign script, a way out of the site, a broken data element."""
    document = html5lib.parse(page.read_text(encoding="utf-8"), namespaceHTMLElements=False)
    for element in document.iter():
        if not isinstance(element.tag, str):
            continue  # a comment
        name = element.tag.rpartition("}")[2]
        for attribute, value in element.attrib.items():
            attribute = str(attribute).rpartition("}")[2].lower()
            if attribute.startswith("on") or attribute in ("style", "srcdoc", "action", "formaction"):
                yield f"{name} has {attribute}={value!r}"
            if attribute in ("href", "src", "data"):
                yield from _link_faults(name, attribute, value, page, site)
        if name == "script" and "src" not in element.attrib:
            if element.attrib.get("type") != "application/json":
                yield f"script without a source: {element.text!r}"
            json.loads(element.text or "")
        if name in ("iframe", "object", "embed", "base", "style") or (
            name == "meta" and element.attrib.get("http-equiv") == "refresh"
        ):
            yield f"a {name} element"
        if name == "form" and element.attrib.get("class") != "tools":  # ours filters the table and is never sent
            yield f"a {name} element"


def _link_faults(name: str, attribute: str, value: str, page: Path, site: Path) -> Iterator[str]:
    parts = urlsplit(value)
    if (name, value) == ("link", "data:,"):
        return
    if parts.scheme not in SCHEMES or (parts.scheme and name != "a"):
        yield f"{name} {attribute} leads to {value!r}"
    elif not parts.scheme:
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if parts.netloc or not target.is_relative_to(site.resolve()) or not target.exists():
            yield f"{name} {attribute} leads to {value!r}, which is not in the site"
