"""One cell from end to end: a suite becomes specs, records and a page."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.api import build_board, load_records, load_suite
from harness.metric import METRICS
from harness.record import ITEMS_FILE
from harness.single import run_spec
from tests.runners.faulty import suite


def test_a_suite_becomes_records_and_a_page(tmp_path: Path) -> None:
    import torch  # noqa: F401  # what the machine needs to read it from the disk is not counted below

    began = time.process_time()
    asked = suite(["head_only", {"random_mask": {"budget": "1%"}}], seeds=[0, 1], name="cell")
    specs = load_suite(asked).specs
    assert len({spec.run_id for spec in specs}) == 4
    for spec in specs:
        record, folder = run_spec(spec, tmp_path / "out", device="cpu")
        assert (record.status, record.spec, record.run_id) == ("ok", spec, spec.run_id)
        assert folder == tmp_path / "out" / spec.run_id / "001"
        # The number is what the metric says of the items.
        table = pq.read_table(folder / ITEMS_FILE)
        rows = {name: table[name].to_numpy() for name in METRICS["accuracy"].statistics}
        assert record.scores[0].metrics["accuracy"] == METRICS["accuracy"].score(rows)

    loaded = load_records([tmp_path / "out"])
    assert (loaded.num_records, loaded.num_unfinished, loaded.unreadable) == (4, 0, [])
    built = build_board([tmp_path / "out"], tmp_path / "site")
    assert time.process_time() - began < 20

    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", built.page.read_text(encoding="utf-8")))
    assert "4 final runs" in page
    assert "stale" not in page
    lines = (tmp_path / "site" / "cells.csv").read_text(encoding="utf-8").splitlines()
    cells = {line["method"]: line for line in csv.DictReader(lines)}
    for method, trained in (("head_only", "0"), ("random_mask", r"317 [\d.]+ %")):
        numbers = [run.record.scores[0].metrics["accuracy"] for run in loaded.runs if run.record.spec.method == method]
        mean = sum(number or 0 for number in numbers) / 2
        assert re.search(rf"{method} {trained} {100 * mean:.1f} ", page), method
        assert (float(cells[method]["mean"]), cells[method]["seeds"]) == (pytest.approx(mean), "0 1")
    for run in loaded.runs:
        assert any(run.run_id in path.name for path in built.page.parent.rglob("*.html"))
