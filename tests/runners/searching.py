"""Searches whose trials come to what a test says, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import provenance
from harness.backbone import locate
from harness.data import DataSource
from harness.matrix import Expansion, expand
from harness.record import Cost, Digests, EpochMetrics, Failure, Record, write_once
from harness.spec import Spec
from runners.attempt import open_attempt
from runners.search import Searches
from tests.runners.faulty import suite

GRID = [0.1, 0.2, 0.3, 0.4]
METRIC = {"name": "accuracy", "higher_is_better": True}


def expansion(methods: list[Any] | None = None, **changes: Any) -> Expansion:
    """Return a suite of one search with a grid of four rates, unless told."""
    asked = {"search": {"grid": {"lr": GRID}}, "seeds": [0, 1], **changes}
    return expand(suite(methods or ["head_only"], **asked))


def record(spec: Spec, metric: float | None = 0.5, loss: float | None = 1.0, **changes: Any) -> Record:
    """Return the record of a run whose second epoch was its best."""
    worse = EpochMetrics(epoch=1, train_loss=1.0, validation_loss=0.0, metrics={"accuracy": 1.0}, selectable=False)
    best = EpochMetrics(epoch=2, train_loss=1.0, validation_loss=loss, metrics={"accuracy": metric})
    status = changes.get("status", "ok")
    known: dict[str, Any] = {
        "run_id": spec.run_id,
        "attempt": 1,
        "spec": spec,
        "task_cards": {spec.train: {"metric": METRIC}},
        "status": status,
        "error": None if status == "ok" else Failure(kind="Some", message=f"it {status}"),
        "started": "2026-01-01T00:00:00",
        "ended": "2026-01-01T00:00:01",
        "validation": (worse, best),
        "best_epoch": 2,
        "cost": Cost(seconds={"fit": 1.0, "validate": 0.25}),
    }
    return Record(**{**known, **changes})


def finish(out: Path, spec: Spec, metric: float | None = 0.5, **changes: Any) -> Record:
    """Write a run's next record, of today's code unless told."""
    current = changes.pop("current", True)
    today = provenance.Today(DataSource(), {spec.backbone: locate(spec.backbone)})
    expected = today.digest(spec) if current else "another"
    attempt = open_attempt(out, spec, "faults")
    digests = Digests(provenance=expected)
    written = record(spec, metric, attempt=attempt.number, digests=digests, **changes)
    write_once(attempt.folder / "record.json", written.to_json())
    return written


def started(**changes: Any) -> tuple[Searches, list[Spec]]:
    """Return the searches of a suite, and what waits for nothing."""
    found = Searches(expansion(**changes))
    return found, found.first()


def end(found: Searches, ended: list[Record]) -> list[Spec]:
    """Let runs end, and return what has become ready."""
    return [spec for one in ended for spec in found.after(one)]


def bill(found: Searches, final: Spec) -> dict[str, Any]:
    """Return the bill of a final that has one."""
    told = found.bill(final)
    assert told is not None
    return told
