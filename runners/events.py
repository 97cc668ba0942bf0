"""Events: a matrix as JSON for machines, one object a line on standard output (``paretune run --json``).

Every line has ``type`` and ``time`` (UTC, ISO 8601). A run is named by ``run_id``. Keys are never renamed or taken
away; new ones, and new types, may come. Unknown is null.

``plan``      first, unless nothing is left to do: ``suite``, ``out`` (the folder), ``counts`` (state to number),
              ``runs`` (as ``plan --json`` has them: ``run_id``, null while a search has yet to choose its values,
              ``state``, ``reason``, ``trained`` (scalars outside the head; null where nobody looked), ``backbone``,
              ``label``), ``forecast`` and ``missing`` (weights and data that cannot be had), as there.
``started``   an attempt began: ``run_id``, ``attempt``, ``backbone``, ``method``, ``values``, ``budget`` (text or
              null), ``task``, ``seed``, ``purpose``.
``step``      its training went on: ``run_id``, ``step``, ``steps``, ``epoch``, ``loss``.
``ended``     it ended: ``run_id``, ``status``, ``message``, ``folder`` (of its record and log), ``again`` (whether it
              is started again by itself), ``ended`` and ``total`` (runs so far, and in all), ``seconds_left``.
``added``     a search came to its finals: ``runs``, how many more there are now.
``warning``   something a person should look at: ``message``.
``draining``  an interrupt: what runs is finished, nothing more starts.
``summary``   last: ``suite``, ``out``, ``interrupted``, ``exit_code``, ``statuses`` (to number of runs), ``failures``
              (each ``status``, ``kind``, ``message``, ``last_line``, ``runs``: ``run_id`` and ``log``), and ``again``,
              the words of the command that runs what failed or was left (null where nothing did).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from harness.api import SuiteResult, run_statuses
from harness.spec import Spec
from runners.attempt import now
from runners.forecast import Forecast
from runners.plan import Plan, Planned
from runners.summary import Failure, describe, failures
from runners.watched import Watched

STEP_KEYS = ("step", "steps", "epoch", "loss")


class JsonEvents:
    """Writes what the executor tells; a reader that goes away costs the lines and never the matrix."""

    def __init__(self, stream: IO[str], watched: Watched) -> None:
        self._stream, self._watched = stream, watched
        plan = watched.plan
        self._write("plan", {"suite": plan.suite, "out": str(watched.out), **planned(plan, watched.forecast)})

    def __call__(self, spec: Spec | None, event: Mapping[str, Any]) -> None:  # Any: events are JSON
        """Take one event, which ``Watched`` has taken already."""
        kind = event["type"]
        if spec is None:
            self._write(kind, {name: value for name, value in event.items() if name != "type"})
        elif kind == "started":
            self._write(kind, {"run_id": spec.run_id, "attempt": event.get("attempt"), **_question(spec)})
        elif kind == "step":
            self._write(kind, {"run_id": spec.run_id, **{key: event.get(key) for key in STEP_KEYS}})
        elif kind == "ended":
            self._write(kind, {"run_id": spec.run_id, **self._end(event)})

    def _end(self, event: Mapping[str, Any]) -> dict[str, Any]:
        watched, left = self._watched, self._watched.seconds_left()
        return {
            "status": event["status"],
            "message": event.get("message"),
            "folder": event.get("folder"),
            "again": bool(event.get("again")),
            "ended": watched.num_ended,
            "total": watched.total,
            "seconds_left": None if left is None else round(left, 1),
        }

    def _write(self, kind: str, facts: Mapping[str, Any]) -> None:
        write(self._stream, kind, facts)


def planned(plan: Plan, forecast: Forecast) -> dict[str, Any]:
    """Return what ``plan --json`` says of a plan beside its suite."""
    every = (*plan.runs, *plan.waiting)
    runs = [_planned(run) for run in every]
    missing = list(plan.missing)
    return {"runs": runs, "counts": plan.counts(), "forecast": forecast.as_json(), "missing": missing}


def _planned(run: Planned) -> dict[str, Any]:
    facts = {"run_id": run.run_id, "state": run.state, "reason": run.reason, "trained": run.trained}
    return {**facts, "backbone": run.spec.backbone, "label": describe(run.spec)}


def summary(result: SuiteResult, exit_code: int, again: Sequence[str] | None) -> dict[str, Any]:
    """Return the facts of the last event."""
    return {
        "suite": result.plan.suite,
        "out": str(result.out),
        "interrupted": result.interrupted,
        "exit_code": exit_code,
        "statuses": run_statuses(result.plan),
        "failures": [_failure(one) for one in failures(result.plan, result.out)],
        "again": None if again is None else list(again),
    }


def write(stream: IO[str], kind: str, facts: Mapping[str, Any]) -> None:
    """Write one line; where nobody reads any more, nothing."""
    line = json.dumps({"type": kind, "time": now(), **_finite(facts)}, allow_nan=False)
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # else Python fails when it flushes at its own end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _question(spec: Spec) -> dict[str, Any]:
    return {
        "backbone": spec.backbone,
        "method": spec.method,
        "values": spec.values,
        "budget": str(spec.budget) if spec.budget else None,
        "task": spec.train,
        "seed": spec.seed,
        "purpose": spec.purpose,
    }


def _failure(one: Failure) -> dict[str, Any]:
    runs = [{"run_id": run.record.run_id, "log": str(run.log)} for run in one.runs]
    return {**one._asdict(), "runs": runs}


def _finite(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts that JSON can hold: a loss that is no number is unknown."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()
    }
