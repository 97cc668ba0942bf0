"""Small matrices that are not run: specs, plans, and records as runs would leave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.data import DataSource
from harness.environment import describe
from harness.matrix import Expansion, expand
from harness.record import RECORD_FILE, Cost, Counts, Digests, Failure, Record, Status, TaskScore
from harness.spec import Spec
from runners.absent import Absent
from runners.agenda import Agenda
from runners.forecast import Speeds
from runners.plan import Plan, Planned
from runners.watched import Watched
from tests.runners.faulty import suite

SECONDS = {"load": 1.0, "attach": 0.5, "fit": 10.0, "validate": 2.0, "score": 4.0}


def specs(*methods: Any, **changes: Any) -> tuple[Spec, ...]:
    return expand(suite(list(methods), **changes)).specs


def a_record(spec: Spec, number: float | None = 0.5, status: Status = "ok", **changes: Any) -> Record:
    """Return a record of 20 s, 2.5 s of which no phase accounts for."""
    scores = tuple(
        TaskScore(
            task=task,
            split="evaluation",
            num_items=10,
            metrics={"accuracy": number},
            headline="accuracy",
            items_digest="x",
        )
        for task in spec.score
    )
    good = status == "ok"
    facts: dict[str, Any] = {
        "run_id": spec.run_id,
        "attempt": 1,
        "spec": spec,
        "status": status,
        "error": None if good else Failure(kind="ValueError", message="no luck", log_tail=("before", "the last line")),
        "started": "2026-01-01T00:00:00.000+00:00",
        "ended": "2026-01-01T00:00:20.000+00:00",
        "scores": scores if good else (),
        "counts": Counts(trained=1234, head=66, head_trained=True, total=9, stored_bits=1, extra_at_inference=0)
        if good
        else None,
        "cost": Cost(seconds=SECONDS if good else {}),
        "environment": describe("cpu", spec.threads),
        "digests": Digests(data={"embedded/polarity:train": "d"}, weights="w", code="c", items="i" if good else None),
    }
    return Record(**{**facts, **changes})


def write(record: Record, out: Path) -> Path:
    """Write a record where a run would leave it; return its folder."""
    folder = out / record.run_id / f"{record.attempt:03}"
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text(record.to_json(), encoding="utf-8")
    return folder


def a_plan(waiting: Iterable[Spec], records: Iterable[Record] = (), name: str = "faults") -> Plan:
    done = tuple(
        Planned(one.spec, "not_applicable" if one.status == "not_applicable" else "done", "", one) for one in records
    )
    return plan_of(*done, *(Planned(spec, "todo", "never run") for spec in waiting), name=name)


def plan_of(*runs: Planned, name: str = "faults", unreadable: tuple[str, ...] = ()) -> Plan:
    """Return a plan of runs that no search waits for."""
    nothing = Agenda(Expansion(suite(["base"]), ()), Path("/nowhere"), DataSource(), Absent({}))
    return Plan(name, runs, nothing, unreadable)


def watch(plan: Plan, out: Path = Path("/nowhere"), workers: int = 1, past: Iterable[Record] = ()) -> Watched:
    return Watched(plan, out, workers, "cpu", Speeds(past))


def started(spec: Spec) -> Mapping[str, Any]:
    return {"type": "started", "run_id": spec.run_id, "attempt": 1}


def step(number: int, steps: int = 16, loss: float | None = 0.6931) -> Mapping[str, Any]:
    return {"type": "step", "step": number, "steps": steps, "epoch": 1, "loss": loss}


def ended(status: str = "ok", message: str | None = None, **facts: Any) -> Mapping[str, Any]:
    return {"type": "ended", "status": status, "folder": "/nowhere/x/001", "message": message, **facts}
