"""Cards as a reader sees them: the facts that records state of their task and method, in words, with safe links."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import JsonValue

from leaderboard.load import Run
from leaderboard.rendering import flat

Card = Mapping[str, JsonValue]


class Fact(NamedTuple):
    """One line of a card."""

    name: str
    values: tuple[str, ...]
    link: str | None = None
    """Where the first value leads to; None where the card gives no address that may be followed."""


class Version(NamedTuple):
    """One card of a name, and the runs whose records hold it."""

    card: Card
    runs: tuple[Run, ...]

    @property
    def number(self) -> int:
        """The version it states; 0 where it states none."""
        stated = self.card.get("version")
        return stated if isinstance(stated, int) else 0


def versions(held: Iterable[tuple[Card, Run]]) -> tuple[Version, ...]:
    """Return the different cards among records, the newest first; an empty card says nothing and is left out."""
    cards: dict[str, Card] = {}
    runs: dict[str, list[Run]] = {}
    for card, run in held:
        if card:
            text = json.dumps(card, sort_keys=True)
            cards[text] = card
            runs.setdefault(text, []).append(run)
    found = [(Version(cards[text], tuple(runs[text])), text) for text in cards]
    return tuple(one for one, _ in sorted(found, key=lambda pair: (-pair[0].number, pair[1])))


def changed(old: Card, new: Card) -> list[str]:
    """Return the names of the facts in which two cards differ, ``version`` aside."""
    return sorted(name for name in {*old, *new} - {"version"} if old.get(name) != new.get(name))


def address(value: JsonValue) -> str | None:
    """Return a link that a reader may follow, None for anything but a plain http or https address."""
    if not isinstance(value, str) or any(character.isspace() or not character.isprintable() for character in value):
        return None
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return None
    return value if parts.scheme in {"http", "https"} and host and parts.username is None else None


def task_facts(card: Card) -> tuple[Fact, ...]:
    """Return what a task's card says, in the order of a reader's questions; unknown facts come last under their names.

    What the page says elsewhere (title, metric) is left out.
    """
    told = {"name", "title", "url", "paper", "year", "metric", "columns", "source", "sizes", "labels"}
    found = [
        *_paper(card),
        *_plain(card, "licence", "Licence"),
        *_source(card.get("source")),
        *_sizes(card),
        *_labels(card),
        *_plain(card, "protocols", "Protocols"),
        *_plain(card, "also", "Also reported"),
        *_plain(card, "hidden_labels", "Hidden labels"),
        *_plain(card, "score_only_with", "Scored with the model of"),
        *_plain(card, "version", "Card version"),
    ]
    told |= {"licence", "protocols", "also", "hidden_labels", "score_only_with", "version"}
    return (*found, *_others(card, told))


def method_facts(card: Card) -> tuple[Fact, ...]:
    """Return what a method's card says, in the order of a reader's questions."""
    code = card.get("code")
    identity = card.get("starts_at_identity")
    found = [
        *_paper(card),
        *([Fact("Code", (str(code),), address(code))] if code else []),
        *_plain(card, "count", "Trained scalars"),
        *_plain(card, "budget", "Meets a budget by"),
        *_plain(card, "targets", "Targets, fixed"),
        *([Fact("Starts at identity", ("yes" if identity else "no",))] if isinstance(identity, bool) else []),
        *_plain(card, "differs", "Differs from the paper", none="nothing"),
        *_ranges(card.get("tuned")),
        *_plain(card, "needs", "Needs"),
        *_plain(card, "version", "Card version"),
    ]
    told = {"name", "title", "paper", "url", "year", "code", "count", "budget", "targets", "starts_at_identity"}
    told |= {"differs", "tuned", "needs", "version"}
    return (*found, *_others(card, told))


def metric_facts(card: Card) -> Mapping[str, JsonValue]:
    """Return what a card says of its metric; empty where it says nothing."""
    facts = card.get("metric")
    return facts if isinstance(facts, dict) else {}


def _paper(card: Card) -> Iterator[Fact]:
    paper, link, year = card.get("paper"), address(card.get("url")), card.get("year")
    if paper:
        shown = str(paper) if year is None or str(year) in str(paper) else f"{paper}, {year}"
        yield Fact("Paper", (shown,), link)
    elif card.get("url"):
        yield Fact("Address", (str(card["url"]),), link)


def _source(source: JsonValue) -> Iterator[Fact]:
    if not isinstance(source, dict):
        return
    told = {name: value for name, value in source.items() if name != "splits" and value not in (None, "", {})}
    places = [f"{name} {words}" for name, words in flat(told)]
    if places:
        yield Fact("Source", tuple(places))
    splits = source.get("splits")
    if isinstance(splits, dict) and splits:
        yield Fact("Splits", tuple(f"{name}: {value}" for name, value in splits.items()))


def _sizes(card: Card) -> Iterator[Fact]:
    sizes = card.get("sizes")
    if isinstance(sizes, dict) and sizes:
        shown = (f"{name} {size:,}" if isinstance(size, int) else f"{name} {size}" for name, size in sizes.items())
        yield Fact("Official rows", tuple(shown))


def _labels(card: Card) -> Iterator[Fact]:
    labels = card.get("labels")
    if isinstance(labels, list) and labels:
        shown = ", ".join(map(str, labels[:8]))
        yield Fact("Classes", (f"{len(labels)}: {shown}{', …' if len(labels) > 8 else ''}",))


def _ranges(tuned: JsonValue) -> Iterator[Fact]:
    if isinstance(tuned, dict) and tuned:
        yield Fact("Searched, log-uniform", tuple(f"{name} {_range(ends)}" for name, ends in tuned.items()))


def _range(ends: JsonValue) -> str:
    if isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends):
        return f"{ends[0]:g} to {ends[1]:g}"
    return json.dumps(ends)


def _plain(card: Card, key: str, name: str, none: str = "") -> Iterator[Fact]:
    value = card.get(key)
    if isinstance(value, list):
        shown = tuple(map(_text, value)) or ((none,) if none else ())
    elif isinstance(value, dict):
        shown = tuple(f"{name}: {words}" for name, words in flat(value))
    else:
        shown = (_text(value),) if value not in (None, "", {}) else ()
    if shown:
        yield Fact(name, shown)


def _others(card: Card, told: set[str]) -> Iterator[Fact]:
    for name in sorted(card.keys() - told):
        if card[name] not in (None, "", [], {}):
            yield from _plain(card, name, name.replace("_", " ").capitalize())


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
