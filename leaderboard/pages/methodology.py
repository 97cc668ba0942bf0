"""The page that says how numbers are computed: the docstrings and constants of the code that computes them.

Nothing about a computation is worded here a second time: what a function promises stands in its docstring.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType, ModuleType
from typing import NamedTuple

from markupsafe import Markup

import harness.record as record
import harness.spec as spec
from leaderboard import cells, columns, load, paths, statistics, tabulation
from leaderboard.docstrings import attributes, inline, to_html
from leaderboard.rendering import render
from leaderboard.site import Page, Site

MODULES = (
    "leaderboard.statistics",
    "leaderboard.spread",
    "leaderboard.panel",
    "leaderboard.prior",
    "leaderboard.compare",
    "leaderboard.budgets",
    "leaderboard.ranking",
    "leaderboard.pareto",
    "leaderboard.ladder",
    "leaderboard.averages",
    "leaderboard.duels",
    "leaderboard.flips",
    "leaderboard.cells",
    "leaderboard.tabulation",
    "leaderboard.reported",
)
"""What computes, in a reader's order: from the interval of one number to the order of many."""
GLOSSARY: tuple[tuple[str, object, str], ...] = (
    ("spec", spec.Spec, ""),
    ("budget", spec.Budget, ""),
    ("N", record.Counts, "total"),
    ("trained", record.Counts, "trained"),
    ("head", record.Counts, "head"),
    ("stored bits", record.Counts, "stored_bits"),
    ("extra at inference", record.Counts, "extra_at_inference"),
    ("split policy", spec, "POLICIES"),
    ("rows at most", spec.Sizes, ""),
    ("record", record.Record, ""),
    ("score", record.TaskScore, ""),
    ("cut texts", record.TaskScore, "truncated"),
    ("run and attempt", load, ""),
    ("result", load.Run, "result"),
    ("section", cells, ""),
    ("row", cells.Row, ""),
    ("cell", cells.Cell, ""),
)
"""Words, and whose docstring says what they mean."""
MARKS: tuple[tuple[str, object, str], ...] = (
    ("status", record, "Status"),
    ("items only, no interval", statistics.Interval, "basis"),
    ("compared, or drawn hollow", cells.Cell, "comparable"),
    ("every seed", cells.Cell, "whole"),
    ("not run", cells.Cell, "missing"),
    ("data state", record.Digests, "data_state"),
    ("mixed environment", cells.Row, "mixed"),
    ("environment facts left out", tabulation, "NOT_ENVIRONMENT"),
    ("newest version", columns.Column, "version"),
)


class Constant(NamedTuple):
    """A number that a computation uses."""

    name: str
    value: str
    words: Markup


class Member(NamedTuple):
    """A field or a property."""

    name: str
    words: Markup


class Item(NamedTuple):
    """A public function or class."""

    name: str
    signature: str
    words: Markup
    members: tuple[Member, ...]

    @property
    def kind(self) -> str:
        """What it is."""
        return "function" if self.signature else "result"


class Chapter(NamedTuple):
    """What one module says."""

    module: ModuleType

    @property
    def name(self) -> str:
        """The module as it is imported."""
        return self.module.__name__

    @property
    def title(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2].capitalize()

    @property
    def words(self) -> Markup:
        """Its docstring."""
        return to_html(inspect.getdoc(self.module) or "")

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Public constants that are numbers or texts, with their values in the running code."""
        found = []
        for name, words in attributes(self.module).items():
            value = getattr(self.module, name, None)
            if name.isupper() and not name.startswith("_") and _is_plain(value):
                found.append(Constant(name, _shown(value), inline(words)))
        return tuple(found)

    @property
    def items(self) -> tuple[Item, ...]:
        """Its public functions and classes, in the order of the source."""
        own = [
            (name, value)
            for name, value in vars(self.module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == self.name and inspect.getdoc(value)
        ]
        functions = [_function(name, value) for name, value in own if isinstance(value, FunctionType)]
        classes = [_class(name, value) for name, value in own if isinstance(value, type)]
        return (*functions, *classes)


def pages(site: Site) -> Iterator[Page]:
    """Yield the page."""
    del site
    chapters = [Chapter(importlib.import_module(name)) for name in MODULES]
    glossary = [Member(word, meaning(owner, name)) for word, owner, name in GLOSSARY]
    marks = [Member(word, meaning(owner, name)) for word, owner, name in MARKS]
    text = render("methodology.html", paths.METHODOLOGY, chapters=chapters, glossary=glossary, marks=marks)
    yield Page(paths.METHODOLOGY, text)


def meaning(owner: object, name: str) -> Markup:
    """Return what a docstring says: that of a module or class, or of one of its names.

    Raises:
        LookupError: if there is no such docstring, so that the page cannot lose a meaning unseen.
    """
    if not name:
        text = inspect.getdoc(owner) or ""
    else:
        assert isinstance(owner, ModuleType | type)
        text = attributes(owner).get(name, "") or inspect.getdoc(vars(owner).get(name)) or ""
    if not text:
        raise LookupError(f"{owner} has no docstring for {name or 'itself'}")
    return to_html(text)


def _function(name: str, value: FunctionType) -> Item:
    parameters = ", ".join(inspect.signature(value).parameters)
    return Item(name, f"{name}({parameters})", to_html(inspect.getdoc(value) or ""), ())


def _class(name: str, value: type) -> Item:
    fields = [Member(field, inline(words)) for field, words in attributes(value).items() if words]
    for method, made in vars(value).items():
        words = inspect.getdoc(made) if isinstance(made, property | cached_property | FunctionType) else None
        if words and not method.startswith("_"):
            fields.append(Member(method, to_html(words)))
    return Item(name, "", to_html(inspect.getdoc(value) or ""), tuple(fields))


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(_is_plain(one) for one in value)
    return isinstance(value, int | float | str)


def _shown(value: object) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, tuple) else str(value)
