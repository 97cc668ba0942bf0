"""Claims about measured memory; each measurement starts a process, so there are few and they run side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from runners.bench_row import Row, Setting
from runners.footprint import MeasuringFailed, Peaks, measure

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
