"""Claims about schedules, by hand."""

from __future__ import annotations

import math

import pytest

from runners.regression import schedules


def test_rates_by_hand() -> None:
    found = schedules.values()
    assert len(found) == 9
    assert found["constant, warmup 0.0"] == [1.0] * 10
    assert found["linear, warmup 0.0"] == pytest.approx([1 - step / 10 for step in range(10)])
    warm = [0, 1 / 3, 2 / 3]
    assert found["linear, warmup 0.3"] == pytest.approx([*warm, *(1 - step / 7 for step in range(7))])
    cosine = [(1 + math.cos(math.pi * step / 7)) / 2 for step in range(7)]
    assert found["cosine, warmup 0.3"] == pytest.approx([*warm, *cosine])
