"""The registry: name -> card -> object, lazily.

Built-in methods and tasks are found by file name, third parties by the entry-point groups ``paretune.methods`` and
``paretune.tasks``, whose values name a module. Cards are literals (``CARD`` of a method file, ``CARDS`` of a task
file) and are read from the source text, so listing them imports nothing, and a broken file breaks only itself.

A method file may bring a whole family whose names are not known when it is written, such as what an installed library
offers. In place of ``CARD`` it has the literal ``CARDS_FROM = "package.module"``: a light module, imported when
methods are listed, whose function ``cards()`` returns the cards (their names begin with the family's file name and a
slash) or raises ``MissingPrerequisite``. The file's ``METHOD`` then has a class method ``member(name)`` that returns
the class of one name. A task file may have ``CARDS_FROM`` in the same way.

A task file may also answer for names that nobody lists: with the literal ``RESOLVES = {"prefix": "lm/", "title": ...}``
it has a function ``resolve(name)`` that returns the card of any name with this prefix, or raises.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import JsonValue, ValidationError

from harness.errors import MissingPrerequisite, UnknownName

if TYPE_CHECKING:
    from harness.method import Method
    from harness.task import Task

PACKAGES = ("harness", "methods", "tasks", "runners", "leaderboard")
ROOT = Path(__file__).resolve().parent.parent

FAMILY = "CARDS_FROM"
"""The literal by which a file says that it brings a family of names."""
RESOLVES = "RESOLVES"
"""The literal by which a task's file says that it answers for names with a prefix."""

Kind = Literal["method", "task"]


@dataclass(frozen=True)
class Entry:
    """One registered name: its card, and where the object comes from."""

    kind: Kind
    name: str
    card: dict[str, JsonValue]
    module: str
    path: Path
    origin: str
    """``built-in``, or the distribution that brought it."""
    error: str | None = None
    """Why the file could not be read, where it could not; the entry then only serves to say so."""
    family: bool = False
    """Whether the file brings a family of names: its ``METHOD.member(name)`` is the class, not ``METHOD``."""
    has_code: bool = True
    """Whether the file defines an object beside its cards; a task family without ``TASK`` is cards alone."""


class _Place(NamedTuple):
    """A file that may hold cards."""

    name: str
    """What it is called as long as its cards cannot be read."""
    module: str
    path: Path | None
    origin: str


def check_packages() -> None:
    """Stop when a folder of the user's shadows one of our five packages.

    Raises:
        MissingPrerequisite: naming both paths.
    """
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (found.submodule_search_locations or [])] if found else []
        if places[:1] != [ROOT / name]:
            came = ", ".join(map(str, places)) or (found.origin if found else None) or "nothing"
            raise MissingPrerequisite(
                f"the package {name!r} resolves to {came}, but paretune's own is {ROOT / name}; "
                f"rename the folder that shadows it, or start from another directory"
            )


def source_of(module: str) -> Path | None:
    """Return the source file of a module, located without importing it or the packages around it."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # loaded, but from no file
        return None
    for depth, _ in enumerate(rest):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join([top, *rest[: depth + 1]]), spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def literals(path: Path, name: str) -> list[dict[str, JsonValue]]:
    """Return the card literals assigned to ``name`` in a source file, without importing it.

    Raises:
        ValueError: if the file does not parse, has no such assignment, or the value is not a literal.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value = ast.literal_eval(node.value)  # type: ignore[attr-defined]  # both kinds of assignment have one
                return value if isinstance(value, list) else [value]
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path.name}: {type(error).__name__}: {error}") from error
    raise ValueError(f"{path.name}: has no literal {name} = ...; add the card, a dict of plain values")


@cache
def methods() -> dict[str, Entry]:
    """Return every method by name."""
    return _collect("method", "CARD")


@cache
def tasks() -> dict[str, Entry]:
    """Return every task that is listed by name."""
    return _collect("task", "CARDS")


@cache
def averages() -> tuple[dict[str, JsonValue], ...]:
    """Return the averages over tasks that task files state in a literal ``AVERAGES``: name, title, tasks or groups."""
    places = (place.path for place in _places("task") if place.path is not None)
    return tuple(one for path in places if _has(path, "AVERAGES") for one in literals(path, "AVERAGES"))


@cache
def submissions() -> dict[str, tuple[dict[str, JsonValue], ...]]:
    """Return what the test server of a task family takes, as its file states it in a literal ``SUBMISSION``.

    One entry for each file of predictions: ``file``, ``task``, ``form`` (see ``runners.submission``), and where it has
    them ``labels`` (the server's words for class 0, 1, ...) and ``index`` (the column that names a row, else ``idx``).
    """
    places = [(place.name, place.path) for place in _places("task") if place.path is not None]
    return {name: tuple(literals(path, "SUBMISSION")) for name, path in places if _has(path, "SUBMISSION")}


class Resolver(NamedTuple):
    """A task file that answers for every name with a prefix."""

    prefix: str
    title: str
    place: _Place


@cache
def resolvers() -> tuple[Resolver, ...]:
    """Return the task files that answer for names which nobody lists."""
    found = []
    for place in _places("task"):
        if place.path is not None and _has(place.path, RESOLVES):
            facts = literals(place.path, RESOLVES)[0]
            found.append(Resolver(str(facts["prefix"]), str(facts["title"]), place))
    return tuple(found)


def find(kind: Kind, name: str, where: str = "") -> Entry:
    """Return one entry.

    Raises:
        UnknownName: offering the nearest names.
        MissingPrerequisite: if the file that should hold it is broken.
    """
    known = methods() if kind == "method" else tasks()
    if kind == "task" and name not in known:
        for resolver in resolvers():
            if name.startswith(resolver.prefix):
                return _resolved(resolver, name)
    if name not in known:  # all names of a broken file are missing; say why and not only that
        broken = [entry.name for entry in known.values() if entry.error and name.partition("/")[0] in _files(entry)]
        name = broken[0] if broken else name
    if name not in known:
        raise UnknownName(kind, name, (key for key, entry in known.items() if not entry.error), where)
    if known[name].error:
        mend = "" if known[name].family else "; mend that file"  # a family's own words say what to install
        raise MissingPrerequisite(f"{kind} {name!r} cannot be used: {known[name].error}{mend}")
    return known[name]


@cache
def _resolved(resolver: Resolver, name: str) -> Entry:
    place = resolver.place
    card = importlib.import_module(place.module).resolve(name)
    assert place.path is not None
    return Entry("task", name, card, place.module, place.path, place.origin, has_code=_has(place.path, "TASK"))


def _files(entry: Entry) -> tuple[str, ...]:
    """Return what the names of a broken file begin with; a family's, a plugin's too, with the name of its file."""
    return (entry.name, entry.path.stem) if entry.family else (entry.name,)


def load_method(name: str) -> type[Method]:
    """Import a method's file and return its class (the module's ``METHOD``, or its member of that name).

    Raises:
        MissingPrerequisite: if the file does not import or has no such class.
    """
    entry = find("method", name)
    method: type[Method] = _load(entry, "METHOD")
    return _call(entry, lambda: method.member(name)) if entry.family else method  # type: ignore[attr-defined]


@cache
def load_task(name: str, protocol: str | None = None) -> Task:
    """Return a task: the module's ``TASK`` class around its card, or the plain contract where the file has none.

    Args:
        name: of the task.
        protocol: the card is returned as it stands for this protocol; null leaves its variants unapplied.

    Raises:
        MissingPrerequisite: if the card is not a valid one, or the file does not import or has no such class.
    """
    from harness.task import Task, TaskCard

    entry = find("task", name)
    try:
        card = TaskCard.model_validate(entry.card)
    except ValidationError as error:
        raise MissingPrerequisite(f"the card of task {name!r} in {entry.path.name} is wrong: {error}") from error
    kind: type[Task] = _load(entry, "TASK") if entry.has_code or not card.source.hub else Task
    return kind(card.through(protocol) if protocol else card)


def _load(entry: Entry, attribute: str) -> Any:  # Any: a class of a module known at run time only
    return _call(entry, lambda: getattr(importlib.import_module(entry.module), attribute))


def _call(entry: Entry, load: Callable[[], Any]) -> Any:  # Any: as above
    try:
        return load()
    except Exception as error:  # a plugin's file may raise anything when it is imported
        raise MissingPrerequisite(
            f"{entry.kind} {entry.name!r} ({entry.origin}) cannot be used: {entry.module} raised "
            f"{type(error).__name__}: {error}; install what it needs, or mend that file"
        ) from error


def _collect(kind: Kind, literal: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for place in _places(kind):
        for entry in _entries(kind, literal, place):
            other = found.setdefault(entry.name, entry)
            if other is not entry:
                raise MissingPrerequisite(
                    f"{kind} {entry.name!r} is registered twice, by {other.module} ({other.origin}) and by "
                    f"{entry.module} ({entry.origin}); uninstall or rename one"
                )
    return dict(sorted(found.items()))


def _entries(kind: Kind, literal: str, place: _Place) -> list[Entry]:
    try:
        if place.path is None:
            raise ValueError(f"its entry point names the module {place.module}, which is not there")
        source = _family(place.path)
        if source:
            return _members(kind, place, source)
        if _has(place.path, RESOLVES) and not _has(place.path, literal):
            return []
        code = kind == "method" or _has(place.path, "TASK")
        cards = literals(place.path, literal)
        return [
            Entry(kind, str(card["name"]), card, place.module, place.path, place.origin, has_code=code)
            for card in cards
        ]
    except (ValueError, KeyError, TypeError) as error:
        why = f"{error}" if isinstance(error, ValueError) else f"{place.module}: a card is a dict with a name"
        return [Entry(kind, place.name, {}, place.module, place.path or Path(), place.origin, why)]


def _family(path: Path) -> str | None:
    """Return the light module that a family's file names, or null for a file of one method."""
    if not _has(path, FAMILY):
        return None
    named: list[Any] = literals(path, FAMILY)  # Any: a literal of any kind
    if not isinstance(named[0], str):
        raise ValueError(f"{path.name}: {FAMILY} is {named[0]!r}; give the name of a module, a string")
    return named[0]


@cache
def _has(path: Path, name: str) -> bool:
    """Return whether a file assigns or defines a name at its top level, by its text alone."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.search(rf"^(class +)?{name}\b", text, re.MULTILINE) is not None


def _members(kind: Kind, place: _Place, source: str) -> list[Entry]:
    """Return the entries of a family, or the one that says why there are none."""
    assert place.path is not None
    code = kind == "method" or _has(place.path, "TASK")
    try:
        cards = importlib.import_module(source).cards()
        wrong = [card["name"] for card in cards if not str(card["name"]).startswith(f"{place.path.stem}/")]
        if wrong:
            raise ValueError(f"{source} names {wrong[0]!r}; a name of this family begins with {place.path.stem}/")
        return [
            Entry(kind, str(card["name"]), card, place.module, place.path, place.origin, family=True, has_code=code)
            for card in cards
        ]
    except Exception as error:  # a plugin's module may raise anything
        why = str(error) if isinstance(error, MissingPrerequisite) else f"{source}: {type(error).__name__}: {error}"
        return [Entry(kind, place.name, {}, place.module, place.path, place.origin, why, family=True)]


def _places(kind: Kind) -> Iterator[_Place]:
    package = f"{kind}s"
    for path in sorted((ROOT / package).glob("*.py")):
        if not path.name.startswith("_"):
            yield _Place(path.stem, f"{package}.{path.stem}", path, "built-in")
    for point in sorted(entry_points(group=f"paretune.{package}"), key=lambda point: point.name):
        origin = point.dist.name if point.dist else point.value
        # Where its file is broken it goes by its module's whole name, which no other entry can have.
        yield _Place(point.module, point.module, source_of(point.module), origin)
