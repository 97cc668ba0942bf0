"""What a plan says a run would train is what it trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.api import plan_suite, run_suite
from harness.backbone import locate
from harness.errors import NotApplicable
from runners.counts import trained
from tests.runners.faulty import suite
from tests.runners.matrices import specs

METHODS = ["base", {"lora": {"rank": 2}}, {"random_mask": {"budget": "1%"}}, "full"]


def test_a_plan_counts_what_its_runs_train(tmp_path: Path) -> None:
    asked = suite(METHODS, seeds=[0])
    planned = {run.run_id: run.trained for run in plan_suite(asked, out=tmp_path).runs}
    result = run_suite(asked, out=tmp_path, workers=1, device="cpu")
    assert {record.run_id: record.counts and record.counts.trained for record in result.records} == planned
    assert {run.run_id: run.trained for run in plan_suite(asked, out=tmp_path).runs} == planned
    assert len(set(planned.values())) == len(METHODS)


def test_seeds_and_training_values_share_a_count() -> None:
    (first, second) = specs({"random_mask": {"budget": "1%"}}, seeds=[0, 1])
    files = locate(first.backbone)
    assert trained(first, files) == trained(second, files)
    with pytest.raises(NotApplicable, match="largest is"):
        trained(specs({"random_mask": {"budget": "100%"}})[0], files)
