"""Runs: all of them as CSV, and their records as JSON, as they were written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from leaderboard.downloads import in_json
from leaderboard.exports.cells import asked
from leaderboard.load import Run
from leaderboard.site import Page, Site
from leaderboard.spreadsheet import table

FIELDS = (
    "run_id", "attempt", "suite", "status", "stale", "purpose", "backbone", "method", "values", "budget", "targets",
    "train", "task", "protocol", "policy", "seed", "data_seed", "metric", "headline", "value", "num_items",
    "data_state", "trained", "head", "total", "stored_bits", "fit_seconds", "seconds", "peak_bytes",
    "trained_part_bytes", "sent_bytes", "checkpoint_bytes", "latency_seconds",
    "plain_latency_seconds", "runs_per_device", "reason",
)  # fmt: skip
_COSTS = (
    "peak_bytes", "trained_part_bytes", "sent_bytes", "checkpoint_bytes", "latency_seconds", "plain_latency_seconds",
)  # fmt: skip


def records_csv(runs: Sequence[Run], stale: Mapping[str, str]) -> str:
    """Return one line per run, scored task and metric, and one per run without a score; unknown is empty."""
    return table(FIELDS, (line for run in runs for line in _lines(run, stale.get(run.run_id, ""))))


def _lines(run: Run, stale: str) -> Iterator[dict[str, object]]:
    record, spec = run.record, run.record.spec
    shared: dict[str, object] = {
        "run_id": run.run_id,
        "attempt": record.attempt,
        "suite": " ".join(run.suites),
        "status": record.status,
        "stale": stale,
        **spec.model_dump(mode="json", include=set(FIELDS) & set(type(spec).model_fields)),
        **asked(spec),
        "seconds": round(sum(record.cost.seconds.values()), 3) if record.cost.seconds else "",
        "fit_seconds": record.cost.seconds.get("fit", ""),
        **{name: "" if (known := getattr(record.cost, name)) is None else known for name in _COSTS},
        "runs_per_device": record.environment.get("runs_per_device", 1),
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


def records_json(runs: Iterable[Run], stale: Mapping[str, str]) -> str:
    """Return all attempts as they were written, one on a line, and which runs are stale."""
    texts = [text for run in runs for text in attempts(run)]
    known = json.dumps({run_id: stale[run_id] for run_id in sorted(stale)}, sort_keys=True)
    return '{"records": [\n' + ",\n".join(texts) + f'\n], "stale": {known}}}\n'


def attempts(run: Run) -> list[str]:
    """Return the records of a run as JSON texts on one line each, oldest attempt first."""
    records = (attempt.record.model_dump(mode="json") for attempt in run.attempts)
    return [json.dumps(record, sort_keys=True, allow_nan=False) for record in records]


def pages(site: Site) -> Iterator[Page]:
    """Yield all runs as CSV, and as one JSON file where that stays handy."""
    yield Page("records.csv", records_csv(site.runs, site.stale))
    if in_json(site):
        yield Page("records.json", records_json(site.runs, site.stale))
