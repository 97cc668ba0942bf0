"""Claims about measured memory; each measurement starts a process, so there are few and they run side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.backbone import Backbone
from harness.errors import NotApplicable
from harness.spec import Budget
from runners import footprint
from runners.bench_row import Row, Setting, Step, begin
from runners.footprint import MeasuringFailed, Peaks, measure
from runners.specimen import Specimen

SETTING = Setting(reference="tiny:bert@256x2", batch=2, length=16)
WEIGHTS = 4 * 2 * 12 * 256 * 256
"""Bytes of the matrices of two blocks of width 256."""


def test_memory_beyond_the_weights_grows_with_what_is_trained_and_a_failure_says_why() -> None:
    rows = [Row(method=name, targets="all") for name in ("full", "head_only", "no_such_method")]
    with ThreadPoolExecutor(len(rows)) as pool:
        full, head_only, failed = [pool.submit(measure, row, SETTING) for row in rows]
    with pytest.raises(MeasuringFailed, match="unknown method 'no_such_method'"):
        failed.result()
    whole, little = full.result(), head_only.result()
    if whole is None or little is None:
        pytest.skip("this system does not tell a process's highest memory")
    assert isinstance(whole, Peaks)
    assert whole.steps > little.steps + 3 * WEIGHTS  # gradients and the two moments of AdamW
    assert whole.steps < little.steps + 6 * WEIGHTS
    assert 0 <= little.start < WEIGHTS


def begun(monkeypatch: pytest.MonkeyPatch, row: Row, smallest: int = 0) -> list[tuple[str, str]]:
    """Measure in this process; return the backbone and size of every row that was begun, with the refused ones."""
    sizes = []

    def remember(row: Row, backbone: Backbone, setting: Setting) -> tuple[Specimen, Step]:
        sizes.append((setting.reference, str(row.budget)))
        if row.budget and row.budget.scalars(backbone.num_parameters) < smallest:
            raise NotApplicable(f"smallest is {smallest}")
        return begin(row, backbone, setting)

    monkeypatch.setattr(footprint, "begin", remember)
    footprint.footprint(row, SETTING)
    return sizes


@pytest.mark.parametrize(
    ("method", "smallest", "rehearsed"),
    [
        ("lora", 0, ["20,000", "None"]),  # at its own size, where it has one
        ("random_mask", 0, ["20,000", "312"]),  # 20,000 of 4 x 256 x 256 are as much as 312 of 4 x 32 x 32
        ("random_mask", 1000, ["20,000", "312", "624", "1,248"]),  # up to a floor
    ],
)
def test_a_size_that_no_tiny_backbone_has_is_rehearsed_at_another(
    method: str, smallest: int, rehearsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row(method=method, targets="query_value", budget=Budget(count=20_000))
    small = [("tiny:bert", size) for size in rehearsed]
    assert begun(monkeypatch, row, smallest) == [*small, (SETTING.reference, "20,000")]


def test_what_cannot_be_rehearsed_is_not_measured_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(method="random_mask", targets="query_value", budget=Budget(count=20_000))
    with pytest.raises(MeasuringFailed, match=r"at 20,000 cannot be rehearsed on tiny:bert .*2,496: smallest is 9000"):
        begun(monkeypatch, row, smallest=9000)
