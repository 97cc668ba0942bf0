"""Claims about the bench's statistics and how its figures are shown."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from runners.timing import Ratio, Timing, as_json, median_interval, ratio, table

CONTRACT = {"method", "targets", "budget", "step_seconds", "ratio_to_limit", "ratio_to_lora", "peak_bytes"}
TIMED = Timing(
    "lora",
    "linear",
    trained=18_432,
    start_seconds=0.25,
    step_seconds=1.5,
    share_of_products=0.617,
    ratio_to_limit=Ratio(1.25, (1.2, 1.3)),
    ratio_to_dense=Ratio(0.9, None),
    ratio_to_lora=Ratio(1.0, (1.0, 1.0)),
    start_peak_bytes=1 << 19,
    peak_bytes=3 << 20,
)
SETTING: dict[str, JsonValue] = {"backbone": "tiny:bert", "batch": 2, "lr": 0.0001}
ENVIRONMENT: dict[str, JsonValue] = {"torch": "2.1", "cores": 4, "processor": None, "commit": "abc"}
IMPOSSIBLE = Timing("random_mask", "query_value", budget="50 %", reason="largest is 16384")


@pytest.mark.parametrize("count", range(1, 13))
def test_the_interval_of_the_median_is_the_narrowest_that_covers_it_with_confidence(count: int) -> None:
    # Each value lies below the median or above it, as a coin falls; the interval of ranks k to n - k + 1 holds the
    # median where at least k of the n fell below and at least k above.
    below = [sum(falls) for falls in itertools.product((0, 1), repeat=count)]
    covers = {k: sum(k <= b <= count - k for b in below) / len(below) for k in range(1, count // 2 + 1)}
    enough = [k for k, coverage in covers.items() if coverage >= 0.95]
    found = median_interval(np.arange(1.0, count + 1))
    assert found == ((max(enough), count - max(enough) + 1) if enough else None)
    assert (found is None) == (count < 6)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=60),
    confidence=st.sampled_from([0.5, 0.8, 0.95, 0.96]),
)
def test_the_interval_holds_the_sample_median_whatever_the_order(values: list[float], confidence: float) -> None:
    found = median_interval(np.array(values), confidence)
    assert found is not None
    assert found == median_interval(np.array(values[::-1]), confidence)
    assert found[0] <= np.median(values) <= found[1]


@given(
    pace=st.lists(st.floats(0.5, 100), min_size=6, max_size=20),
    factor=st.floats(0.1, 10),
)
def test_a_machine_that_is_slow_for_a_round_moves_no_ratio(pace: list[float], factor: float) -> None:
    reference = np.array(pace)
    found = ratio(reference * factor, reference)
    assert found.interval is not None
    assert [found.median, *found.interval] == pytest.approx([factor] * 3)


def test_a_ratio_is_the_median_over_rounds() -> None:
    found = ratio(np.array([3.0, 1.0, 8.0]), np.array([1.0, 1.0, 2.0]))
    assert found == Ratio(3.0, None)


def test_json_holds_what_the_design_promises_and_intervals_beside() -> None:
    written = json.loads(json.dumps(as_json([TIMED, IMPOSSIBLE], SETTING, ENVIRONMENT), allow_nan=False))
    assert (written["setting"], written["environment"]) == (SETTING, ENVIRONMENT)
    rows = written["methods"]
    assert all(row.keys() >= CONTRACT for row in rows)
    assert rows[0].keys() == rows[1].keys()
    assert rows[0]["ratio_to_limit"] == 1.25
    assert rows[0]["ratio_to_limit_interval"] == [1.2, 1.3]
    assert rows[0]["ratio_to_dense_interval"] is None
    assert rows[0]["peak_bytes"] == 3 << 20
    assert rows[1]["ratio_to_limit"] is None
    assert rows[1]["reason"] == "largest is 16384"


def test_the_table_shows_the_setting_then_figures_and_then_reasons() -> None:
    lines = table([IMPOSSIBLE, TIMED], SETTING, ENVIRONMENT).splitlines()
    assert len(lines) == 4
    assert lines[0] == "backbone tiny:bert, batch 2, lr 0.0001; cores 4, torch 2.1"
    assert [lines[1].split("  ")[0], *lines[1].split()[-4:]] == ["method", "start", "MiB", "peak", "MiB"]
    figures = ["0.250", "1.500", "62", "%", "1.25", "1.20-1.30", "0.90", "1.00", "0.5", "3.0"]
    assert lines[2].split() == ["lora", "linear", "-", "18,432", *figures]
    assert lines[3] == "random_mask on query_value at 50 %: largest is 16384"
