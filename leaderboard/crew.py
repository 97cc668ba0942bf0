"""A crew: this process and forks of it work through one list, each taking the next part that nobody has."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Generic, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")
MOST = 4
"""Processes at most: each may come to hold a copy of all records."""


class Crew(Generic[Part, Result]):
    """Makes the result of every part; a context, in which the others work from its beginning on.

    Args:
        work: part to result; what one part gives must not depend on who makes it, or after what.
        parts: what there is to do.
        enough: so many parts are worth another process.
    """

    def __init__(self, work: Callable[[Part], Result], parts: Sequence[Part], enough: int) -> None:
        self._work, self._parts = work, parts
        self._helpers: list[tuple[BaseProcess, Connection]] = []
        self._num_helpers = num_cores() - 1 if len(parts) >= enough else 0
        self._begun = multiprocessing.get_context("fork").Value("q", 0) if self._num_helpers else None

    def __enter__(self) -> Crew[Part, Result]:
        for _ in range(self._num_helpers):
            context = multiprocessing.get_context("fork")  # which shares what was read without a copy
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=self._help, args=(sender,))
            process.start()
            sender.close()  # so that the pipe ends with its helper
            self._helpers.append((process, receiver))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for process, receiver in self._helpers:
            if kind is not None:
                process.terminate()
            process.join()
            receiver.close()

    def results(self) -> list[Result]:
        """Join in, and return the results in the order of their parts.

        Raises:
            RuntimeError: if one of the other processes failed, or was killed.
        """
        found = dict(self._made())
        for process, receiver in self._helpers:
            try:
                found |= receiver.recv()
            except EOFError as error:
                process.join()
                raise RuntimeError(
                    f"a process that helped to make the board ended with code {process.exitcode}; its error stands "
                    "above, unless it was killed"
                ) from error
        return [found[number] for number in range(len(self._parts))]

    def _made(self) -> Iterator[tuple[int, Result]]:
        for number in self._numbers():
            yield number, self._work(self._parts[number])

    def _numbers(self) -> Iterator[int]:
        """Yield the next numbers that nobody has, until all are taken."""
        if self._begun is None:
            yield from range(len(self._parts))
            return
        while True:
            with self._begun.get_lock():
                number = self._begun.value
                self._begun.value = number + 1
            if number >= len(self._parts):
                return
            yield number

    def _help(self, sender: Connection) -> None:
        sender.send(dict(self._made()))


def num_cores() -> int:
    """Return how many processes can work at once here; one where none can be forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    with suppress(AttributeError):  # not on every system
        return min(MOST, len(os.sched_getaffinity(0)))
    return min(MOST, os.cpu_count() or 1)
