"""Pages to files, by several processes where there are many: a page is made when it is written."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from multiprocessing.context import ForkContext
from pathlib import Path

from leaderboard.site import Page

MANY = 400
"""Pages from which another process pays."""
AT_ONCE = 16
"""Pages that a process takes at a time."""
MOST = 4
"""Processes at most: each may come to hold a copy of all records."""


def write(pages: Iterable[Page], out: Path) -> tuple[str, ...]:
    """Write pages below a folder; return their paths.

    The leading ones whose content is a function are made by other processes too, while this one goes on with the rest.

    Raises:
        RuntimeError: if one of the other processes failed; it has said why.
    """
    rest, alone = iter(pages), []
    for page in rest:
        if not callable(page.content):
            rest = chain([page], rest)
            break
        alone.append(page)
    written: list[str] = [page.path for page in alone]
    with _Helpers(alone, out) as helpers:
        for page in rest:
            _write_one(page, out)
            written.append(page.path)
        for part in helpers.parts():
            for page in part:
                _write_one(page, out)
    return tuple(sorted(written))


def _write_one(page: Page, out: Path) -> None:
    place = out / page.path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(page.to_bytes())


class _Helpers:
    """Processes that make pages from a shared list, each taking the next ones that nobody has."""

    def __init__(self, pages: Sequence[Page], out: Path) -> None:
        self._pages, self._out = pages, out
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._next = 0
        if count := _num_helpers(len(pages)):
            context: ForkContext = multiprocessing.get_context("fork")
            self._shared = context.Value("q", 0)
            self._processes = [context.Process(target=self._help) for _ in range(count)]

    def __enter__(self) -> _Helpers:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for process in self._processes:
            if kind is not None:
                process.terminate()
            process.join()
        if kind is None and any(process.exitcode for process in self._processes):
            raise RuntimeError("a process that helped to write the pages failed; its error stands above")

    def parts(self) -> Iterator[Sequence[Page]]:
        """Yield the next pages until all are taken."""
        while part := self._take():
            yield part

    def _take(self) -> Sequence[Page]:
        if not self._processes:
            begin, self._next = self._next, self._next + AT_ONCE
            return self._pages[begin : begin + AT_ONCE]
        with self._shared.get_lock():
            begin = self._shared.value
            self._shared.value = begin + AT_ONCE
        return self._pages[begin : begin + AT_ONCE]

    def _help(self) -> None:
        for part in self.parts():
            for page in part:
                _write_one(page, self._out)


def _num_helpers(num_pages: int) -> int:
    """Return how many processes to start beside this one; only a fork shares what was read without a copy."""
    if num_pages < MANY or "fork" not in multiprocessing.get_all_start_methods():
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores) - 1
