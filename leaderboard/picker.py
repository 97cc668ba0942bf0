"""The picker of a section: suite, then backbone, then protocol and the rest, each choice a link to the nearest section.

A board may have hundreds of sections. The picker shows the choices that remain after those above it, and a list of
everything behind a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from leaderboard.cells import Ground, Section


class Choice(NamedTuple):
    """One value of a facet."""

    text: str
    place: str
    """The page of the section that it leads to."""
    current: bool


class Facet(NamedTuple):
    """One line of the picker."""

    name: str
    choices: tuple[Choice, ...]


def suite(ground: Ground) -> str:
    """Return a section's suite as it is read."""
    return ground.suite or "no suite"


def way(ground: Ground) -> str:
    """Return protocol and split policy, which decide what a number means."""
    return f"{ground.protocol}, {ground.policy.replace('_', ' ')}"


def backbone(ground: Ground) -> str:
    """Return the end of a backbone's reference, which tells it from others; the page says it whole."""
    kind, _, name = ground.backbone.partition(":")
    parts = [part for part in (name or kind).split("/") if part != "model"]
    return parts[-1] if parts else ground.backbone


def rows(ground: Ground) -> str:
    """Return the sizes of the splits and the data seed."""
    return f"{ground.sizes or 'all rows'}, data seed {ground.data_seed}"


FACETS: tuple[tuple[str, Callable[[Ground], str], Callable[[Ground], str]], ...] = (
    ("Suite", suite, suite),
    ("Backbone", lambda ground: ground.backbone, backbone),
    ("Protocol", way, way),
    ("Rows at most", rows, rows),
)
"""Name, what makes two sections differ, and what is read."""


def picker(section: Section, places: Mapping[Section, str], num_results: Callable[[Section], int]) -> tuple[Facet, ...]:
    """Return the lines of the picker that leave a choice, for the page of one section.

    Args:
        section: the one that is shown.
        places: every section to its page.
        num_results: how large a section is: a choice leads to the section that agrees with this one in most of the
            lines below, and is the largest of those.
    """
    found: list[Facet] = []
    left = list(places)
    for number, (name, key, read) in enumerate(FACETS):
        below = [one for _, one, _ in FACETS[number + 1 :]]
        choices = []
        for value in sorted({key(one.ground) for one in left}):
            those = [one for one in left if key(one.ground) == value]
            nearest = min(those, key=lambda one: (-_alike(one, section, below), -num_results(one), tuple(one.ground)))
            chosen = value == key(section.ground)
            choices.append(Choice(read(nearest.ground), places[section if chosen else nearest], chosen))
        if len(choices) > 1:
            found.append(Facet(name, tuple(_told_apart(choices, left, key, read))))
        left = [one for one in left if key(one.ground) == key(section.ground)]
    return tuple(found)


def _alike(one: Section, other: Section, keys: Sequence[Callable[[Ground], str]]) -> int:
    return sum(key(one.ground) == key(other.ground) for key in keys)


def _told_apart(
    choices: Sequence[Choice],
    left: Sequence[Section],
    key: Callable[[Ground], str],
    read: Callable[[Ground], str],
) -> list[Choice]:
    """Return choices with their whole value where the short ones are equal."""
    if len({choice.text for choice in choices}) == len(choices):
        return list(choices)
    whole = sorted({key(one.ground) for one in left})
    shorts = [read(next(one.ground for one in left if key(one.ground) == value)) for value in whole]
    return [
        choice._replace(text=value if shorts.count(choice.text) > 1 else choice.text)
        for choice, value in zip(choices, whole, strict=True)
    ]
