"""Waiting for what another process does, and what must not have changed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.record import LOG_FILE, RECORD_FILE, Record
from harness.spec import Spec
from runners.attempt import Attempt, attempts, records
from tests.runners.faulty import contents

PATIENCE = 120.0
"""Seconds that anything may take on a busy machine before a test fails."""


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)
    return found


def held(out: Path, spec: Spec, number: int = 1) -> Attempt | None:
    """Return an attempt of ``waiting`` if it stands at its gate."""
    for attempt in attempts(out, spec.run_id):
        log = attempt.folder / LOG_FILE
        if attempt.number == number and log.exists() and "reached step 1" in log.read_text(encoding="utf-8"):
            return attempt
    return None


def tried(out: Path, spec: Spec) -> list[Record]:
    found, problems = records(out, spec.run_id)
    assert not problems
    return found


def unchanged(before: Mapping[str, bytes], out: Path) -> bool:
    """Return whether every record and its results of then are the same bytes now, and nothing is half written."""
    now = contents(out)
    assert not [name for name in now if name.endswith(".partial")]
    closed = {str(Path(name).parent) for name in before if Path(name).name == RECORD_FILE}
    kept = {name: content for name, content in before.items() if str(Path(name).parent) in closed}
    return bool(kept) and kept.items() <= now.items()
