"""The downloads: every number of the page as CSV and JSON, so that nobody has to scrape it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

from leaderboard.load import Run

FIELDS = (
    "run_id", "attempt", "suite", "status", "stale", "purpose", "backbone", "method", "values", "budget", "targets",
    "train", "task", "protocol", "policy", "seed", "data_seed", "metric", "headline", "value", "num_items",
    "data_state", "trained", "head", "total", "stored_bits", "fit_seconds", "seconds", "peak_bytes", "reason",
)  # fmt: skip


def records_csv(runs: Sequence[Run], stale: Mapping[str, str]) -> str:
    """Return one line per run, scored task and metric, and one per run without a score; unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        writer.writerows(_lines(run, stale.get(run.run_id, "")))
    return text.getvalue()


def _lines(run: Run, stale: str) -> Iterator[dict[str, object]]:
    record, spec = run.record, run.record.spec
    shared: dict[str, object] = {
        "run_id": run.run_id,
        "attempt": record.attempt,
        "suite": " ".join(run.suites),
        "status": record.status,
        "stale": stale,
        **spec.model_dump(mode="json", include=set(FIELDS) & set(type(spec).model_fields)),
        "values": json.dumps(dict(spec.values), sort_keys=True),
        "budget": str(spec.budget) if spec.budget else "",
        "targets": spec.targets if isinstance(spec.targets, str) else " ".join(spec.targets),
        "seconds": round(sum(record.cost.seconds.values()), 3) if record.cost.seconds else "",
        "fit_seconds": record.cost.seconds.get("fit", ""),
        "peak_bytes": record.cost.peak_bytes if record.cost.peak_bytes is not None else "",
        "reason": record.error.message if record.error else "",
    }
    if record.counts:
        shared |= record.counts.model_dump(include={"trained", "head", "total", "stored_bits"})
    if not record.scores:
        yield {**shared, "task": " ".join(spec.score)}
    for score in record.scores:
        state = record.digests.data_state.get(score.task, "")
        for metric, value in score.metrics.items():
            yield {
                **shared,
                "task": score.task,
                "metric": metric,
                "headline": int(metric == score.headline),
                "value": "" if value is None else repr(value),
                "num_items": score.num_items,
                "data_state": state,
            }


def records_json(runs: Sequence[Run], stale: Mapping[str, str]) -> str:
    """Return all attempts as they were written, and which runs are stale."""
    attempts = [attempt.record.model_dump(mode="json") for run in runs for attempt in run.attempts]
    known = {run.run_id: stale[run.run_id] for run in runs if run.run_id in stale}
    return json.dumps({"records": attempts, "stale": known}, indent=1, sort_keys=True, allow_nan=False) + "\n"
