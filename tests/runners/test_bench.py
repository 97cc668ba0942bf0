"""Claims about the bench as a whole, on backbones so small that its figures mean nothing."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from harness import registry
from harness.backbone import Backbone
from harness.errors import MissingPrerequisite, UnknownName, UserError
from runners import specimen
from runners.bench import ALWAYS, LORA, BadBench, bench, require_timed
from runners.bench_row import DENSE, LIMIT, Row, Setting
from runners.footprint import MeasuringFailed, Peaks
from runners.peak import REPEATS
from runners.timing import Ratio, Timing

SMALL = "tiny:bert@64x2"
METHODS = ("base", "bitfit", "full", "head_only", "random_mask")


def small(**options: Any) -> list[Timing]:
    return bench(**{"reference": SMALL, "batch": 2, "length": 8, "rounds": 6, "memory": False, **options})


@pytest.fixture(scope="module")
def timings() -> list[Timing]:
    return small(methods=METHODS, budgets=("1%", "50%"))


def test_reference_rows_are_always_there_once_per_targets(timings: list[Timing]) -> None:
    for targets in ("query_value", "linear"):
        there = [timing for timing in timings if timing.targets == targets and timing.method in ALWAYS]
        assert [timing.method for timing in there] == [LIMIT, DENSE, LORA]
        assert all(timing.step_seconds is not None for timing in there)
    ranks = {timing.targets: timing.trained for timing in timings if timing.method == LORA}
    assert ranks == {"query_value": 8 * 4 * (64 + 64), "linear": 8 * 2 * (4 * (64 + 64) + 2 * (64 + 256))}


def test_every_ratio_is_positive_and_limit_is_its_own_measure(timings: list[Timing]) -> None:
    timed = [timing for timing in timings if timing.step_seconds is not None]
    assert len(timed) == 12
    for timing in timed:
        for found in (timing.ratio_to_limit, timing.ratio_to_dense, timing.ratio_to_lora):
            assert found is not None
            assert found.interval is not None
            assert 0 < found.interval[0] <= found.median <= found.interval[1]
        if timing.method == LIMIT:
            assert timing.ratio_to_limit == Ratio(1.0, (1.0, 1.0))


def test_methods_that_fix_their_targets_are_timed_once(timings: list[Timing]) -> None:
    fixed = [(timing.method, timing.targets) for timing in timings if timing.method in METHODS[:4]]
    assert fixed == [("base", "none"), ("bitfit", "all"), ("full", "all"), ("head_only", "none")]


def test_methods_without_a_size_of_their_own_are_timed_at_every_budget(timings: list[Timing]) -> None:
    total = specimen.load(SMALL).num_parameters
    masks = {(timing.targets, timing.budget): timing.trained for timing in timings if timing.method == "random_mask"}
    assert masks == {
        ("query_value", "1 %"): int(total * 0.01),
        ("query_value", "50 %"): None,
        ("linear", "1 %"): int(total * 0.01),
        ("linear", "50 %"): int(total * 0.5),
    }
    assert all(timing.budget is None for timing in timings if timing.method != "random_mask")


def test_what_makes_no_sense_is_listed_with_the_reason(timings: list[Timing]) -> None:
    reasons = {timing.method: timing.reason for timing in timings if timing.step_seconds is None}
    assert reasons == {
        "base": "base trains nothing, so it takes no step",
        "random_mask": "largest is 16384 on targets query_value",
    }


def test_targets_that_an_architecture_lacks_leave_limit_and_reasons() -> None:
    rows = {timing.method: timing for timing in small(reference="tiny:resnet", methods=["head_only", "random_mask"])}
    assert rows[LIMIT].step_seconds is not None
    assert rows["head_only"].ratio_to_lora is None
    assert rows[LORA].reason is not None
    assert "linear layers" in rows[LORA].reason


def test_all_methods_but_members_of_families_are_timed_by_default() -> None:
    names = {timing.method for timing in small(targets=("query_value",), budgets=("1%",), rounds=3)}
    assert names == {name for name in registry.methods() if "/" not in name} | set(ALWAYS)
    assert len(names) > 10


def test_no_method_asked_for_leaves_the_rows_that_are_always_there() -> None:
    found = small(methods=[], targets=("linear",), rounds=3)
    assert [timing.method for timing in found] == list(ALWAYS)
    require_timed(found, [])


def test_a_bench_that_timed_nothing_it_was_asked_for_is_refused_with_the_reasons(timings: list[Timing]) -> None:
    require_timed(timings, METHODS)
    with pytest.raises(BadBench, match=r"base on none: base trains nothing, so it takes no step\); ask for other"):
        require_timed(timings, ["base"])
    rows = [Timing(LIMIT, "linear", step_seconds=1.0), Timing(LORA, "linear", reason="no layers")]
    with pytest.raises(BadBench, match="lora on linear: no layers"):
        require_timed(rows, None)


class _SlowingClock:
    """Every step of a round takes as long, and every round ten times as long as the one before; products like steps."""

    def __init__(self, rows: int) -> None:
        self._now, self._calls, self._rows, self._timed = 0.0, itertools.count(), rows, rows + REPEATS

    def __call__(self) -> float:
        call = next(self._calls) - 2 * self._rows  # the starts come first
        if call > 0 and call % 2:
            self._now += 10.0 ** (call // (2 * self._timed))
        return self._now


def test_steps_are_taken_in_turn_so_that_a_slow_round_is_slow_for_all() -> None:
    found = small(methods=["head_only"], targets=("linear",), clock=_SlowingClock(rows=4), rounds=7, warmup=2)
    assert [timing.step_seconds for timing in found] == [10.0 ** (2 + 3)] * 4
    assert [timing.ratio_to_lora for timing in found] == [Ratio(1.0, (1.0, 1.0))] * 4
    shares = [timing.share_of_products for timing in found]
    assert all(share is not None and 0 < share < 1 for share in shares)  # a step as long as a larger product


def test_rows_that_do_not_fit_together_are_timed_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.bench.HELD_BYTES", 1)
    lines: list[str] = []
    found = small(methods=["head_only", "full"], targets=("linear",), rounds=3, report=lines.append)
    assert [timing.method for timing in found] == [*ALWAYS, "head_only", "full"]
    assert [line for line in lines if "group" in line] == [
        f"linear: group {number} of 2, 1 rows beside {', '.join(ALWAYS)}" for number in (1, 2)
    ]
    assert all(timing.ratio_to_limit is not None and timing.ratio_to_limit.interval is None for timing in found)


def test_the_weights_that_rows_share_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Backbone] = []
    load = specimen.load

    def remember(*arguments: Any) -> Backbone:
        loaded.append(load(*arguments))
        return loaded[-1]

    monkeypatch.setattr(specimen, "load", remember)
    small(methods=METHODS, budgets=("10%",), rounds=3)
    (template,) = loaded
    assert template.changed() == []
    assert not [name for name, parameter in template.model.named_parameters() if parameter.requires_grad is False]


def test_half_precision_is_timed_through_the_same_path() -> None:
    found = small(methods=["random_mask"], targets=("linear",), budgets=("1%",), rounds=3, dtype="bfloat16")
    assert [timing.reason for timing in found] == [None] * 4


def test_memory_comes_from_a_process_per_row_and_a_failure_costs_that_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Row] = []

    def measured(row: Row, setting: Setting) -> Peaks | None:
        asked.append(row)
        if row.method == LORA:
            raise MeasuringFailed("the process was killed")
        return None if row.method == DENSE else Peaks(1, 2)

    monkeypatch.setattr("runners.bench.measure", measured)
    rows = {timing.method: timing for timing in small(methods=["base"], targets=("mlp",), rounds=3, memory=True)}
    assert [row.method for row in asked] == list(ALWAYS)
    assert (rows[LIMIT].start_peak_bytes, rows[LIMIT].peak_bytes) == (1, 2)
    assert rows[DENSE].peak_bytes is None
    assert rows[LORA].step_seconds is not None
    assert rows[LORA].reason == "the process was killed"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": 2}, "rounds: 2 came; a bench needs at least 3"),
        ({"warmup": 1}, "warmup: 1 came"),
        ({"batch": 0}, "batch: 0 came"),
        ({"length": 2000}, "length: 2000 came; tiny:bert@64x2 has 1024 positions"),
        ({"threads": 0}, "threads: 0 came"),
        ({"targets": ()}, "targets: 0 came"),
        ({"targets": ("linear", "none")}, "targets: none came; .*query_value, attention, mlp, linear, all"),
        ({"clock": time.process_time, "threads": 2}, "process clock .* 2 threads on cpu came"),
        ({"clock": time.process_time, "device": "cuda"}, "process clock .* 1 threads on cuda came"),
        ({"budgets": ()}, "budgets: 0 came"),
        ({"budgets": ("0%",)}, "out of range"),
        ({"targets": ("qurey_value",)}, "did you mean query_value"),
        ({"methods": ["lroa"]}, "did you mean lora"),
        ({"reference": "tiny:brt"}, "did you mean tiny:bert"),
        ({"reference": "path:nowhere"}, "not a folder"),
    ],
)
def test_bad_values_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        small(**options)
    assert isinstance(caught.value, (ValueError, UnknownName, MissingPrerequisite))
