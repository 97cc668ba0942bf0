"""All records as one parquet file: a row per attempt, scored task and metric, and the whole record beside each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from harness.record import Record
from leaderboard.downloads import PARQUET
from leaderboard.exports.cells import asked
from leaderboard.exports.records import attempts
from leaderboard.load import Run
from leaderboard.site import Page, Site

SCHEMA = pa.schema(
    {
        "run_id": pa.string(),
        "attempt": pa.int64(),
        "is_result": pa.bool_(),
        "suites": pa.list_(pa.string()),
        "status": pa.string(),
        "reason": pa.string(),
        "stale": pa.string(),
        "purpose": pa.string(),
        "backbone": pa.string(),
        "method": pa.string(),
        "values": pa.string(),
        "budget": pa.string(),
        "targets": pa.string(),
        "train": pa.string(),
        "protocol": pa.string(),
        "policy": pa.string(),
        "seed": pa.int64(),
        "data_seed": pa.int64(),
        "task": pa.string(),
        "metric": pa.string(),
        "is_headline": pa.bool_(),
        "value": pa.float64(),
        "num_items": pa.int64(),
        "data_state": pa.string(),
        "trained": pa.int64(),
        "head": pa.int64(),
        "total": pa.int64(),
        "stored_bits": pa.int64(),
        "extra_at_inference": pa.int64(),
        "sparsity": pa.float64(),
        "fit_seconds": pa.float64(),
        "seconds": pa.float64(),
        "peak_bytes": pa.int64(),
        "trained_part_bytes": pa.int64(),
        "sent_bytes": pa.int64(),
        "checkpoint_bytes": pa.int64(),
        "latency_seconds": pa.float64(),
        "plain_latency_seconds": pa.float64(),
        "record": pa.string(),
    }
)
"""Columns and their types; ``record`` holds JSON, and unknown is null."""
AT_ONCE = 500
"""Runs that are held as rows before they are packed."""
_FROM_SPEC = ("purpose", "backbone", "train", "protocol", "policy", "seed", "data_seed")


def parquet(runs: Sequence[Run], stale: Mapping[str, str]) -> bytes:
    """Return all attempts, by run id and attempt; one without a score has a row for each task it was to score."""
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(runs), AT_ONCE):
            rows = [row for run in runs[start : start + AT_ONCE] for row in _rows(run, stale.get(run.run_id))]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return bytes(out.getvalue().to_pybytes())


def _rows(run: Run, stale: str | None) -> Iterator[dict[str, object]]:
    for attempt, text in zip(run.attempts, attempts(run), strict=True):
        record = attempt.record
        shared = {
            "suites": run.suites,
            "is_result": attempt is run.result,
            "stale": stale if attempt is run.result else None,
            **_of_record(record),
            "record": text,
        }
        for row in _scores(record):
            yield shared | row


def _of_record(record: Record) -> dict[str, object]:
    spec, cost = record.spec, record.cost
    return {
        "run_id": record.run_id,
        "attempt": record.attempt,
        "status": record.status,
        "reason": record.error.message if record.error else None,
        **{name: getattr(spec, name) for name in _FROM_SPEC},
        **asked(spec),
        **(record.counts.model_dump(exclude={"head_trained"}) if record.counts else {}),
        "sparsity": record.sparsity,
        "fit_seconds": cost.seconds.get("fit"),
        "seconds": sum(cost.seconds.values()) if cost.seconds else None,
        "peak_bytes": cost.peak_bytes,
        "trained_part_bytes": cost.trained_part_bytes,
        "sent_bytes": cost.sent_bytes,
        "checkpoint_bytes": cost.checkpoint_bytes,
        "latency_seconds": cost.latency_seconds,
        "plain_latency_seconds": cost.plain_latency_seconds,
    }


def _scores(record: Record) -> Iterable[dict[str, object]]:
    if not record.scores:
        return [{"task": task} for task in record.spec.score]
    return [
        {
            "task": score.task,
            "metric": metric,
            "is_headline": metric == score.headline,
            "value": value,
            "num_items": score.num_items,
            "data_state": record.digests.data_state.get(score.task),
        }
        for score in record.scores
        for metric, value in score.metrics.items()
    ]


def pages(site: Site) -> Iterator[Page]:
    """Yield the file of all records."""
    yield Page(PARQUET, parquet(site.runs, site.stale))
