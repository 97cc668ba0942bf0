"""Bench: what a step of each method costs against one of the same backbone frozen, and the memory it takes.

All methods of a group live in one process, each on weights of its own, and take their steps in turn (round robin), so
that a machine that is slow for a while is slow for all. A ratio is the median over rounds of the ratio within a round,
with a distribution-free interval. Three rows are always there: ``limit`` forms activation gradients only, through the
whole depth; ``dense_weight_gradient`` also forms the plain gradients of all targeted weights and drops them; and LoRA
of rank 8. What a step is stands in ``runners.bench_row``, how memory is measured in ``runners.footprint``, what the
machine's own products allow in ``runners.peak``, and the figures and how they are shown in ``runners.timing``.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness import registry
from harness.backbone import Backbone
from harness.errors import MissingPrerequisite, NotApplicable, UnknownName, UserError
from harness.method import MethodCard
from harness.random import Streams
from harness.spec import TARGETS, Budget
from harness.suite import parse_budget
from runners import specimen
from runners.bench_row import DENSE, LIMIT, Row, Setting, Step, begin, conditions
from runners.footprint import MeasuringFailed, measure
from runners.peak import product_speed, step_operations
from runners.timing import Timing, ratio

LORA = "lora"
ALWAYS = (LIMIT, DENSE, LORA)
BUDGETS = ("0.01%", "0.1%", "1%", "10%")
"""What a method is timed at that has no size of its own (a mask); all others are timed at their default size."""
ROUNDS, WARM_UP = 6, 2
"""Six rounds are the fewest whose median has a 95 % interval; two steps leave the warm-up of pruning behind."""
HELD_BYTES = 3 << 30
"""Weights held at a time; rows whose copies do not fit are timed in further groups, each with the rows of ALWAYS."""

Report = Callable[[str], None]


class BadBench(UserError, ValueError):
    """A bench that cannot be, such as one of no rounds."""


def bench(
    reference: str = "tiny:bert@768x12",
    methods: Sequence[str] | None = None,
    targets: Sequence[str] = ("query_value", "linear"),
    *,
    budgets: Sequence[str | int | Budget] = BUDGETS,
    batch: int = 8,
    length: int = 128,
    device: str = "cpu",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    rounds: int = ROUNDS,
    warmup: int = WARM_UP,
    threads: int = 1,
    memory: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    report: Report = lambda line: None,
) -> list[Timing]:
    """Time methods on random rows of a backbone, and measure their memory.

    Args:
        reference: the backbone.
        methods: their names; by default all but members of families (names with a slash), and an empty list leaves
            the rows that are always there.
        targets: names of targets other than ``none``; a method whose card fixes its targets is timed once, beside the
            last.
        budgets: for methods that have no size of their own.
        batch: rows per step.
        length: tokens per row.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: type of the frozen weights; ``auto`` is bf16 on a GPU and fp32 elsewhere.
        rounds: timed steps of each row, at least 3.
        warmup: steps of each row before those, at least 2.
        threads: of torch; the caller limits other libraries before they load.
        memory: whether to measure peak memory, in a fresh process per row.
        clock: seconds; ``time.process_time`` serves one thread on a CPU that others use as well, and nothing else.
        report: called with lines of progress.

    Returns:
        Every row, with the reason where it cannot be timed.

    Raises:
        UserError: for an unknown name, a budget or another value that cannot be, before anything is timed.
    """
    counts = {"rounds": (rounds, 3), "warmup": (warmup, 2), "length": (length, 4), "batch": (batch, 1)}
    counts |= {"threads": (threads, 1), "targets": (len(targets), 1), "budgets": (len(budgets), 1)}
    _check(counts, targets, methods or ())
    if clock is time.process_time and (threads > 1 or device != "cpu"):
        raise BadBench(
            f"the process clock adds up threads and sees no GPU, and {threads} threads on {device} came; "
            "take it with 1 thread on cpu, or take the wall clock"
        )
    chosen = methods if methods is not None else [name for name in registry.methods() if "/" not in name]
    asked = [parse_budget(budget) for budget in budgets]
    setting = Setting(reference=reference, batch=batch, length=length, device=device, dtype=dtype, threads=threads)
    timings: dict[Row, Timing] = {}
    with conditions(setting):
        template = setting.load()
        _check_length(template, length)
        timer = _Timer(template, setting, rounds, warmup, clock, report)
        for name in dict.fromkeys(targets):
            rows = _rows(template, chosen, name, asked, pinned=name == targets[-1])
            timings |= timer.time(name, rows)
    return [_weigh(row, timing, setting, report) if memory else timing for row, timing in timings.items()]


def require_timed(timings: Sequence[Timing], methods: Sequence[str] | None) -> None:
    """Refuse a bench that timed none of the methods it was asked for.

    Raises:
        BadBench: with every reason.
    """
    asked = [one for one in timings if (one.method not in (LIMIT, DENSE) if methods is None else one.method in methods)]
    if asked and all(one.step_seconds is None for one in asked):
        reasons = "; ".join(f"{one.label}: {one.reason}" for one in asked)
        raise BadBench(f"no method asked for could be timed ({reasons}); ask for other methods, targets or budgets")


def _check(counts: Mapping[str, tuple[int, int]], targets: Sequence[str], methods: Sequence[str]) -> None:
    for what, (came, allowed) in counts.items():
        if came < allowed:
            raise BadBench(f"{what}: {came} came; a bench needs at least {allowed}")
    for name in targets:
        if name not in TARGETS:
            raise UnknownName("targets", name, TARGETS)
        if name == "none":
            allowed_names = ", ".join(one for one in TARGETS if one != "none")
            raise BadBench(
                "targets: none came; rows are compared with LoRA and the weight gradients on the same targets, so "
                f"give some of {allowed_names} (a method that fixes its targets is timed on those beside any)"
            )
    for name in methods:
        registry.find("method", name)


def _check_length(template: Backbone, length: int) -> None:
    config: Any = template.model.config  # Any: transformers' configurations
    allowed = getattr(config, "max_position_embeddings", None)
    if template.tokenizer is not None and allowed is not None and length > allowed:
        raise BadBench(f"length: {length} came; {template.files.reference} has {allowed} positions")


class _Started(NamedTuple):
    row: Row
    specimen: specimen.Specimen
    step: Step
    start_seconds: float


@dataclass(frozen=True)
class _Timer:
    """Times groups of rows."""

    template: Backbone
    """Nothing is attached to it; rows share the weights with it that they do not target."""
    setting: Setting
    rounds: int
    warmup: int
    clock: Callable[[], float]
    report: Report

    def time(self, targets: str, rows: Sequence[Row]) -> dict[Row, Timing]:
        """Time rows that are compared with the rows of ALWAYS on the same targets."""
        always = [Row(method=method, targets=targets) for method in ALWAYS]
        groups = list(self._groups([row for row in dict.fromkeys(rows) if row not in always]))
        timings: dict[Row, Timing] = {}
        for number, group in enumerate(groups, 1):
            self.report(f"{targets}: group {number} of {len(groups)}, {len(group)} rows beside {', '.join(ALWAYS)}")
            timings |= {row: found for row, found in self._time_group(always, group).items() if row not in timings}
            gc.collect()  # a patched layer and its method hold one another, and with them their weights
        return timings

    def _groups(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        group: list[Row] = []
        held = 0
        for row in rows:
            size = sum(self.template.pristine[name].nbytes for name in self._touched(row) - self.template.head)
            if group and held + size > HELD_BYTES:
                yield group
                group, held = [], 0
            group.append(row)
            held += size
        yield group

    def _touched(self, row: Row) -> frozenset[str]:
        """Return the names of the parameters that a row may write to."""
        try:
            plan = specimen.plan(self.template, row.targets)
        except NotApplicable:
            return self.template.head
        return self.template.head | plan.targets.tensors.keys()

    def _twin(self, row: Row) -> Backbone:
        """Return a backbone with weights of its own where the row may write, and the template's elsewhere."""
        model, touched = self.template.model, self._touched(row)
        shared = {
            id(parameter): nn.Parameter(parameter.data, requires_grad=False)
            for name, parameter in model.named_parameters()
            if name not in touched
        }
        twin = copy.copy(self.template)
        twin.model = copy.deepcopy(model, shared)  # a memo holds objects by the id of what they stand for
        return twin

    def _time_group(self, always: Sequence[Row], others: Sequence[Row]) -> dict[Row, Timing]:
        started: list[_Started] = []
        timings: dict[Row, Timing] = {}
        for row in (*always, *others):
            twin = self._twin(row)
            begun = self.clock()
            try:
                attached, step = begin(row, twin, self.setting)
            except (NotApplicable, MissingPrerequisite) as reason:
                timings[row] = replace(_untimed(row), reason=str(reason))
                continue
            self._wait()
            started.append(_Started(row, attached, step, self.clock() - begun))
        operations = [step_operations(one.step) for one in started]
        seconds, speeds = self._take(started)
        columns = {one.row: seconds[:, column] for column, one in enumerate(started)}
        limit, dense, lora = (columns.get(row) for row in always)
        for one, count in zip(started, operations, strict=True):
            own = columns[one.row]
            timings[one.row] = replace(
                _untimed(one.row),
                trained=sum(parameter.numel() for parameter in one.specimen.method.trained().values()),
                start_seconds=one.start_seconds,
                step_seconds=float(np.median(own)),
                share_of_products=float(np.median(count / own / speeds)),
                ratio_to_limit=None if limit is None else ratio(own, limit),
                ratio_to_dense=None if dense is None else ratio(own, dense),
                ratio_to_lora=None if lora is None else ratio(own, lora),
            )
        return {row: timings[row] for row in (*always, *others)}

    def _take(self, started: Sequence[_Started]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the seconds of every timed step, (rounds, rows), and the speed of plain products, (rounds,)."""
        seconds = np.empty((self.warmup + self.rounds, len(started)))
        speeds = np.empty(len(seconds))
        for number, round_ in enumerate(seconds):
            # In another order every round: what a step finds in caches is not always the same neighbour's.
            for column in Streams(0).permutation(len(started), "order", f"round/{number}"):
                self._wait()
                begun = self.clock()
                started[column].step()
                self._wait()
                round_[column] = self.clock() - begun
            speeds[number] = product_speed(self.setting.device, self.setting.half, self.clock)
            self.report(f"round {number + 1} of {len(seconds)}: {round_.sum():.1f} s")
        return seconds[self.warmup :], speeds[self.warmup :]

    def _wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.setting.device.startswith("cuda"):
            torch.cuda.synchronize(self.setting.device)


def _rows(
    template: Backbone, methods: Sequence[str], targets: str, budgets: Sequence[Budget], pinned: bool
) -> list[Row]:
    """Return the rows of methods on one kind of targets; ``pinned`` adds those whose card fixes their targets."""
    rows = []
    for name in methods:
        card = registry.methods()[name]
        fixed = MethodCard.model_validate(card.card).targets if not card.error else None
        if fixed and not pinned:
            continue
        sizes = budgets if _needs_size(name, template, fixed or targets) else (None,)
        rows += [Row(method=name, targets=fixed or targets, budget=size) for size in sizes]
    return rows


def _needs_size(name: str, template: Backbone, targets: str) -> bool:
    """Return whether a method has no size of its own on these targets."""
    try:
        kind = registry.load_method(name)
        kind(kind.Config()).count(template.model, specimen.plan(template, targets))
    except (NotApplicable, MissingPrerequisite):
        return False  # starting it says why
    except ValueError:
        return True
    return False


def _weigh(row: Row, timing: Timing, setting: Setting, report: Report) -> Timing:
    """Return a timing with its memory; the reason says so where the process that measures failed."""
    if timing.step_seconds is None:
        return timing
    report(f"memory: {row}")
    try:
        peaks = measure(row, setting)
    except MeasuringFailed as failure:
        return replace(timing, reason=str(failure))
    return timing if peaks is None else replace(timing, start_peak_bytes=peaks.start, peak_bytes=peaks.steps)


def _untimed(row: Row) -> Timing:
    return Timing(row.method, row.targets, None if row.budget is None else str(row.budget))
