"""Spares: workers that load their libraries while the suite is still being planned."""

from __future__ import annotations

from collections.abc import Sequence

from runners.process import WorkerProcess


class Spares:
    """Workers without a job, one for each of the first lanes; those that nobody took are killed at the end."""

    def __init__(self, workers: Sequence[WorkerProcess] = ()) -> None:
        self._waiting = dict(enumerate(workers))

    def take(self, lane: int) -> WorkerProcess | None:
        """Return the worker of a lane, which is its taker's from then on; null if it has none, or none any more."""
        return self._waiting.pop(lane, None)

    def __enter__(self) -> Spares:
        """Keep them until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End those that are left."""
        for worker in self._waiting.values():
            worker.kill()
            worker.close()
