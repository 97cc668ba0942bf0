"""The downloads: runs and cells of the page as CSV, and all records as JSON, so that nobody has to scrape it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.spec import Spec
from leaderboard.averages import average, averages_of
from leaderboard.cells import Section
from leaderboard.load import Run
from leaderboard.site import Page, Site
from leaderboard.statistics import Interval

FIELDS = (
    "run_id", "attempt", "suite", "status", "stale", "purpose", "backbone", "method", "values", "budget", "targets",
    "train", "task", "protocol", "policy", "seed", "data_seed", "metric", "headline", "value", "num_items",
    "data_state", "trained", "head", "total", "stored_bits", "fit_seconds", "seconds", "peak_bytes",
    "runs_per_device", "reason",
)  # fmt: skip
CELL_FIELDS = (
    "suite", "backbone", "protocol", "policy", "sizes", "data_seed", "method", "values", "budget", "targets",
    "settings", "trained", "task", "metric", "mean", "low", "high", "interval", "seeds", "seeds_asked", "items",
    "compared", "marks",
)  # fmt: skip


def records_csv(runs: Sequence[Run], stale: Mapping[str, str]) -> str:
    """Return one line per run, scored task and metric, and one per run without a score; unknown is empty."""
    return _table(FIELDS, (line for run in runs for line in _lines(run, stale.get(run.run_id, ""))))


def cells_csv(sections: Sequence[Section]) -> str:
    """Return one line per cell of the page's tables, scores unscaled; unknown is empty."""
    return _table(CELL_FIELDS, (line for section in sections for line in _cell_lines(section)))


def _table(fields: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _cell_lines(section: Section) -> Iterator[dict[str, object]]:
    for row in section.rows:
        cells = [(column, row.cells[column.task]) for column in section.columns]
        spec = next(run.record.spec for _, cell in cells for run in cell.runs)
        for column, cell in cells:
            yield {
                **section.ground._asdict(),
                **_asked(spec),
                "settings": json.dumps(dict(row.settings)),
                "trained": " ".join(map(str, row.trained)),
                "task": column.task,
                "metric": column.measure.name,
                **(_numbers(cell.interval) if cell.interval else {}),
                "seeds": " ".join(str(run.record.spec.seed) for run in cell.good),
                "seeds_asked": " ".join(map(str, cell.seeds)),
                "compared": int(cell.comparable),
                "marks": "; ".join(cell.marks),
            }
        for mean in averages_of(section):
            found = average(row.cells, mean)
            yield {
                **section.ground._asdict(),
                **_asked(spec),
                "settings": json.dumps(dict(row.settings)),
                "trained": " ".join(map(str, row.trained)),
                "task": f"{mean.name} average",
                "metric": "average",
                **(_numbers(found) if found else {}),
                "compared": 0,
            }


def _numbers(interval: Interval) -> dict[str, object]:
    """Return a mean and its interval."""
    numbers = {"mean": interval.estimate, "low": interval.low, "high": interval.high}
    texts = {name: "" if value is None else repr(value) for name, value in numbers.items()}
    return {**texts, "interval": interval.basis, "items": interval.num_items or ""}


def _asked(spec: Spec) -> dict[str, object]:
    """Return the method as it was asked for, written alike in all tables."""
    return {
        "method": spec.method,
        "values": json.dumps(dict(spec.values), sort_keys=True),
        "budget": str(spec.budget) if spec.budget else "",
        "targets": spec.targets if isinstance(spec.targets, str) else " ".join(spec.targets),
    }


def _lines(run: Run, stale: str) -> Iterator[dict[str, object]]:
    record, spec = run.record, run.record.spec
    shared: dict[str, object] = {
        "run_id": run.run_id,
        "attempt": record.attempt,
        "suite": " ".join(run.suites),
        "status": record.status,
        "stale": stale,
        **spec.model_dump(mode="json", include=set(FIELDS) & set(type(spec).model_fields)),
        **_asked(spec),
        "seconds": round(sum(record.cost.seconds.values()), 3) if record.cost.seconds else "",
        "fit_seconds": record.cost.seconds.get("fit", ""),
        "peak_bytes": record.cost.peak_bytes if record.cost.peak_bytes is not None else "",
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


def records_json(runs: Sequence[Run], stale: Mapping[str, str]) -> str:
    """Return all attempts as they were written, and which runs are stale."""
    attempts = [attempt.record.model_dump(mode="json") for run in runs for attempt in run.attempts]
    known = {run.run_id: stale[run.run_id] for run in runs if run.run_id in stale}
    return json.dumps({"records": attempts, "stale": known}, indent=1, sort_keys=True, allow_nan=False) + "\n"


def pages(site: Site) -> Iterator[Page]:
    """Yield the downloads of all records."""
    yield Page("records.csv", records_csv(site.runs, site.stale))
    yield Page("cells.csv", cells_csv(site.sections))
    yield Page("records.json", records_json(site.runs, site.stale))
