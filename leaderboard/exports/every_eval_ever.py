"""Cells in the schema of Every Eval Ever (0.3.0), one archive for each section in the layout of its datastore.

Each row of a section is one evaluation log: the tuned backbone is the model, each task with a number is a result, with
the standard error and the interval that the board shows. A log is dated by its newest run, so that it changes only when
its runs do. What a record does not tell is left out, or is the schema's own ``unknown`` where it must be there.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from leaderboard import paths, wording
from leaderboard.cells import Cell, Row, Section
from leaderboard.columns import Column
from leaderboard.downloads import downloads_of
from leaderboard.exports.cells import asked
from leaderboard.load import Run
from leaderboard.site import Page, Site
from leaderboard.statistics import LEVEL, Interval

SCHEMA_VERSION = "0.3.0"
DEVELOPER = "paretune"
"""First part of every model id: a tuned backbone is not the model that its makers published."""
CANONICAL = {"accuracy": "accuracy", "exact_match": "exact-match"}
"""Metrics that the schema's registry knows and means alike; others carry this project's name."""
SPLITS = {"train": "train", "validation": "val", "test": "test"}
METHODS = {
    "seeds and items": "two-way random effects of seeds and items, Satterthwaite's degrees of freedom",
    "items only": "items of one seed; how seeds differ is not in it",
}
"""Basis of an interval to how it was computed."""

Json = dict[str, Any]  # Any: values of JSON


def logs(section: Section) -> Iterator[tuple[str, Json]]:
    """Yield path in the datastore and evaluation log of each row with a number."""
    collection = f"{DEVELOPER}-{paths.slug(section.ground.suite or 'no-suite')}"
    names = wording.names(section.rows)
    for row in section.rows:
        results = [_result(cell, column) for cell, column in _numbered(row, section)]
        if not results:
            continue
        model = paths.slug("/".join((*map(str, section.ground[1:]), names[row])))
        log = _log(section, row, f"{DEVELOPER}/{model}", collection) | {"evaluation_results": results}
        digest = hashlib.sha256(json.dumps(log, sort_keys=True).encode()).digest()
        yield f"data/{collection}/{DEVELOPER}/{model}/{uuid.UUID(bytes=digest[:16], version=4)}.json", log


def _numbered(row: Row, section: Section) -> Iterator[tuple[Cell, Column]]:
    for column in section.columns:
        if row.cells[column.task].interval is not None:
            yield row.cells[column.task], column


def _log(section: Section, row: Row, model_id: str, collection: str) -> Json:
    runs = [run for cell in row.cells.values() for run in cell.good]
    newest = max(_epoch(run.record.ended) for run in runs)
    versions = sorted({str(run.record.environment.get("paretune") or "unknown") for run in runs})
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{collection}/{model_id}/{newest}",
        "evaluation_timestamp": newest,
        "retrieved_timestamp": newest,
        "source_metadata": {
            "source_name": "Paretune board",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "first_party",  # whoever evaluated a tuned model also tuned it
        },
        "eval_library": {"name": "paretune", "version": ", ".join(versions)},
        "model_info": _model(section, row, model_id, runs[0]),
    }


def _model(section: Section, row: Row, model_id: str, run: Run) -> Json:
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown",
        "base_model": section.ground.backbone,
        **asked(run.record.spec),
        **{f"setting_{name}": value for name, value in row.settings},
        "trained_parameters": ", ".join(map(str, row.trained)),
        "train_task": run.record.spec.train,
    }
    return {
        "name": f"{section.ground.backbone} tuned by {row.label}",
        "id": model_id,
        "additional_details": {name: value for name, value in details.items() if value},
    }


def _result(cell: Cell, column: Column) -> Json:
    assert cell.interval is not None
    seeds = [run.record.spec.seed for run in cell.good]
    spec = cell.good[0].record.spec
    details = {
        "seeds": ", ".join(map(str, seeds)),
        "per_seed": ", ".join(repr(score) for score in cell.entry.scores.values()) if cell.entry else "",
        "compared_with_others": str(cell.comparable).lower(),
        "marks": "; ".join(cell.marks),
        "protocol": spec.protocol,
        "split_policy": spec.policy,
        "data_seed": str(spec.data_seed),
        "run_ids": ", ".join(run.run_id for run in cell.good),
    }
    return {
        "evaluation_result_id": f"{column.task}/{column.measure.name}",
        "evaluation_name": column.task,
        "source_data": _source(cell.good[0], column),
        "evaluation_timestamp": max(_epoch(run.record.ended) for run in cell.good),
        "metric_config": _metric(column),
        "score_details": {
            "score": cell.interval.estimate,
            "details": {name: value for name, value in details.items() if value},
            "uncertainty": _uncertainty(cell.interval),
        },
    }


def _metric(column: Column) -> Json:
    measure = column.measure
    bounds = {"min_score": measure.lowest, "max_score": measure.ceiling}
    known = {name: value for name, value in bounds.items() if value is not None}
    return {
        "evaluation_description": column.title,
        "metric_id": CANONICAL.get(measure.name, f"paretune.{measure.name}"),
        "metric_name": measure.name,
        "lower_is_better": not measure.higher_is_better,
        **({"metric_unit": "proportion"} if measure.unit == "%" else {}),
        **({"score_type": "continuous"} if len(known) == len(bounds) else {}),
        **known,
    }


def _uncertainty(interval: Interval) -> Json:
    found: Json = {"num_samples": interval.num_items} if interval.num_items else {}
    method = {"method": METHODS[interval.basis]} if interval.basis in METHODS else {}
    if interval.error is not None:
        found["standard_error"] = {"value": interval.error, **method}
    if interval.low is not None and interval.high is not None:
        bounds = {"lower": interval.low, "upper": interval.high, "confidence_level": LEVEL}
        found["confidence_interval"] = bounds | method
    return found


def _source(run: Run, column: Column) -> Json:
    """Return where a task's rows come from, as its card says."""
    card = run.record.task_cards.get(column.task, {})
    source = card.get("source")
    source = source if isinstance(source, dict) else {}
    score = run.score(column.task)
    facts = {"data_state": run.record.digests.data_state.get(column.task, ""), "licence": card.get("licence")}
    facts |= {"task_version": column.version, "config": source.get("config"), "revision": source.get("revision")}
    details = {name: str(value) for name, value in facts.items() if value}
    named: Json = {"dataset_name": column.task, **({"additional_details": details} if details else {})}
    if source.get("hub") and not source.get("by_hand"):
        hub = {"source_type": "hf_dataset", "hf_repo": str(source["hub"])}
        split = SPLITS.get(_split(source))
        counted = {"samples_number": score.num_items} if score else {}
        return named | hub | ({"hf_split": split} if split else {}) | counted
    url = str(card.get("url") or "")
    if _scheme(url) in ("http", "https"):
        return named | {"source_type": "url", "url": [url]}
    return named | {"source_type": "other"}


def _split(source: Mapping[str, Any]) -> str:  # Any: a part of a card
    splits = source.get("splits")
    return str(splits.get("evaluation")) if isinstance(splits, dict) else ""


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _epoch(time: str) -> str:
    """Return a record's time in seconds since 1970; a text that is no time stays as it is."""
    try:
        return str(int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()))
    except ValueError:
        return time


def archive(section: Section) -> bytes:
    """Return the logs of a section as a ZIP archive that hangs on nothing but them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for path, log in logs(section):
            entry = zipfile.ZipInfo(path)  # dated 1980, as no clock has a say
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            text = json.dumps(log, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
            file.writestr(entry, text + "\n", zipfile.ZIP_DEFLATED)
    return out.getvalue()


def pages(site: Site) -> Iterator[Page]:
    """Yield the archive of each section."""
    for section in site.sections:
        yield Page(dict(downloads_of(section))["Every Eval Ever"], archive(section))
