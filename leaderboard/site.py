"""The site: all that a page may know, and what a page is.

``leaderboard/pages`` and ``leaderboard/exports`` hold one module for each kind of page and of download. Each has one
function ``pages(site)`` that yields what it writes; a new module adds pages and changes no existing line.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.record import Record
from leaderboard import exports, pages
from leaderboard.cells import NORMAL, Mode, Section
from leaderboard.gallery import Gallery
from leaderboard.load import Loaded, Run
from leaderboard.sheet import Sheet
from leaderboard.tabulation import Table, tabulate

if TYPE_CHECKING:
    from leaderboard.releases import Archive, Release

NOTHING: Mapping[str, str] = MappingProxyType({})


class Page(NamedTuple):
    """One file of the site."""

    path: str
    """From the site's folder, with ``/``."""
    content: str | bytes | Callable[[], str | bytes]
    """A function is called when the page is written, maybe in another process."""

    def to_bytes(self) -> bytes:
        """Return what the file holds."""
        content = self.content() if callable(self.content) else self.content
        return content if isinstance(content, bytes) else content.encode("utf-8")


class Judge(Protocol):
    """Says which results are what today's code and cards would give."""

    def stale(self, records: Iterable[Record]) -> Mapping[str, str]:
        """Return run id to the reason why it is not."""
        ...

    def key(self) -> str:
        """Return a text that changes whenever a judgement could."""
        ...


class Trust:
    """The judge that finds nothing stale."""

    def stale(self, records: Iterable[Record]) -> Mapping[str, str]:
        """Return nothing."""
        del records
        return NOTHING

    def key(self) -> str:
        """Return nothing: no judgement ever changes."""
        return ""


@dataclass(frozen=True)
class Site:
    """All records of a board, and what was made of them once for all pages."""

    loaded: Loaded
    table: Table
    stale: Mapping[str, str]
    """Run id to the reason why it is not what today's code and cards would give."""
    mode: Mode = NORMAL
    releases: tuple[Release, ...] = ()
    """Newest first."""
    problems: tuple[str, ...] = ()
    """One message for each release that cannot be used."""

    @classmethod
    def of(
        cls, loaded: Loaded, stale: Mapping[str, str] = NOTHING, mode: Mode = NORMAL, archive: Archive | None = None
    ) -> Site:
        """Return the site of some records."""
        return cls(loaded, tabulate(loaded.runs, stale, mode), stale, mode, *(archive or ()))

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, by run id."""
        return self.loaded.runs

    @property
    def sections(self) -> tuple[Section, ...]:
        """What may stand in one table, by suite and backbone."""
        return self.table.sections

    @cached_property
    def sheets(self) -> tuple[Sheet, ...]:
        """The same sections, with what the pages below the index compute of them."""
        return tuple(map(Sheet, self.sections))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Every task that was trained on or scored, by name."""
        return tuple(sorted({task for run in self.runs for task in (run.record.spec.train, *run.record.spec.score)}))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Every method that was run, by name."""
        return tuple(sorted({run.record.spec.method for run in self.runs}))

    @cached_property
    def gallery(self) -> Gallery:
        """Every figure."""
        return Gallery(self)

    @cached_property
    def unreadable(self) -> tuple[str, ...]:
        """One message for each file that could not be used; the rest was."""
        return tuple(sorted({*self.loaded.unreadable, *self.table.unreadable, *self.problems}))


Maker = Callable[[Site], Iterator[Page]]


def makers() -> Iterator[Maker]:
    """Yield what makes pages: first the modules that say ``EACH_ALONE``, whose pages other processes may make."""
    modules = [importlib.import_module(name) for package in (pages, exports) for name in _modules(package)]
    for module in sorted(modules, key=lambda module: not getattr(module, "EACH_ALONE", False)):
        yield module.pages


def _modules(package: ModuleType) -> list[str]:
    return sorted(f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__))
