"""A finished matrix of any size: records of a real run, one for each spec of a suite, as if all had been run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import provenance
from harness.backbone import locate
from harness.data import DataSource
from harness.matrix import expand
from harness.record import RECORD_FILE, STARTED_FILE
from harness.registry import ROOT
from harness.suite import Suite, parse
from runners.attempt import Started, now, owner

METHODS: list[Any] = ["base", "head_only", "bitfit", "full", {"lora": {"rank": 2}}]
METHODS += [{name: {"budget": "1%"}} for name in ("random_mask", "fish", "gradient_mask", "magnitude_mask", "adapter")]
TASKS = ["embedded/polarity", "embedded/agreement"]


def matrix(num: int) -> Suite:
    """Return a suite of so many runs, a multiple of 20."""
    content = {"name": f"finished{num}", "backbones": ["tiny:bert"], "methods": METHODS, "tasks": TASKS}
    return parse({**content, "seeds": list(range(num // (len(METHODS) * len(TASKS))))})


def finish(suite: Suite, out: Path) -> None:
    """Write an ok record for every run of a suite, as large as a real one."""
    source, template = DataSource(), json.loads(_published().read_text(encoding="utf-8"))
    known: dict[tuple[str, ...], Any] = {}
    for spec in expand(suite).specs:
        kind = (spec.backbone, spec.method, spec.train)
        if kind not in known:
            rows, weights = provenance.data_digests(spec, source), locate(spec.backbone).digest
            known[kind] = (rows, weights, provenance.code_digest(spec))
        rows, weights, code = known[kind]
        digests = {"data": rows, "weights": weights, "code": code}
        digests["provenance"] = provenance.provenance_digest(spec, rows, weights, code)
        facts = {"run_id": spec.run_id, "spec": spec.model_dump(mode="json"), "suite": suite.name}
        record = template | facts | {"digests": template["digests"] | digests, "attempt": 1}
        folder = out / spec.run_id / "001"
        folder.mkdir(parents=True)
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        started = Started(
            run_id=spec.run_id, attempt=1, suite=suite.name, started=now(), spec=spec, owner=owner()
        ).model_dump_json()
        (folder / STARTED_FILE).write_text(started, encoding="utf-8")


def _published() -> Path:
    """Return the largest published record: reading the others is quicker."""
    found = (ROOT / "leaderboard" / "records" / "quick").rglob(RECORD_FILE)
    return max(found, key=lambda path: (path.stat().st_size, path))
