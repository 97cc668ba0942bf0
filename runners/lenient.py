"""Savepoints that a full disk costs time, and not the run.

It stands beside ``runners.savepoint`` since that file's code belongs to the provenance of records, and what becomes of
a savepoint that finds no room changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError

from runners.savepoint import Savepoints


@dataclass
class LenientSavepoints(Savepoints):
    """Savepoints of a run that goes on where one cannot be written; the one before it stays."""

    problem: str | None = None
    """Why the newest one that was due is not there."""

    def save(self, content: Any) -> None:  # Any: see Savepoints.save
        """Write the savepoint, or remember why that failed and try again when the next one is due."""
        try:
            super().save(content)
            self.problem = None
        except (OSError, SafetensorError) as error:
            self.problem = f"a savepoint could not be written ({error}): a killed run would have lost the time since"
            self._last = self.clock()
