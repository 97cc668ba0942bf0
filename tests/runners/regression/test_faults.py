"""Faults planted for real in our own functions, or in a third party's method: each is caught by the layer named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness.metric
import harness.random
import harness.splits
import runners.course
import runners.fit
from harness import registry
from harness.gate import Outcome
from methods.lora import ADAPTER, Lora
from runners.regression import schedules
from runners.regression.training import CELLS
from tests.harness.plugins import forget, write_distribution
from tests.runners.regression.gating import failed, gate

EVERYWHERE = [f"lora, {protocol}" for protocol in CELLS]
IDLE = '''
"""A method that says that it trains, and does not."""

import torch
from torch import nn

from harness.method import Method

CARD = {
    "name": "idle", "title": "A method that trains nothing", "paper": "none", "url": "", "year": 2025, "code": None,
    "version": 1, "count": "7", "starts_at_identity": True, "differs": [], "tuned": {},
}


class Idle(Method):
    """Its vector is in the graph of the loss, times nothing."""

    def count(self, model, plan):
        return 7

    def attach(self, model, plan, streams):
        self.vector = nn.Parameter(torch.zeros(7))
        first = next(iter(plan.targets.modules.values()))
        self.hook = first.register_forward_hook(lambda _, inputs, out: out + 0.0 * self.vector.sum())

    def own_parameters(self):
        return {"vector": self.vector}

    def remove(self, model):
        self.hook.remove()


METHOD = Idle
'''


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give a third party's method that silently trains nothing."""
    folder = write_distribution(
        tmp_path / "site", {"idle_plugin/__init__.py": "", "idle_plugin/method.py": IDLE},
        {"paretune.methods": "idle_plugin.method"}, "idle-plugin",
    )  # fmt: skip
    monkeypatch.syspath_prepend(folder)
    forget()
    yield "idle"
    monkeypatch.undo()
    forget()


def test_without_a_fault_the_same_checks_pass() -> None:
    report = gate("exact/metrics", "exact/draws", "exact/schedules", "exact/rows", "micro", methods=["lora"])
    assert failed(report) == {}
    assert report.outcome is Outcome.PASS
    assert {check.name for check in report.checks if check.group == "micro/losses"} == set(EVERYWHERE)
    assert sum(check.group == "exact/rows" for check in report.checks) > 200, "a chosen method narrows trainings alone"


def test_a_metric_off_by_a_thousandth_fails_the_exact_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = harness.metric.ACCURACY
    wrong = replace(right, formula=lambda rows, weights: right.formula(rows, weights) + 1e-3)
    monkeypatch.setitem(harness.metric.METRICS, "accuracy", wrong)
    assert failed(gate("exact/metrics")) == {"exact/metrics": ["accuracy"]}


def test_a_mask_drawn_with_another_seed_fails_the_exact_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = harness.random.Streams.sample
    monkeypatch.setattr(
        harness.random.Streams, "sample", lambda self, *given: right(harness.random.Streams(self.seed + 1), *given)
    )
    found = failed(gate("exact/draws", "exact/streams"))
    assert found["exact/draws"] == ["random_mask, seed 0", "random_mask, seed 1"]
    assert found["exact/streams"] == ["100 of 1,000, seed 0", "100 of 1,000, seed 1"]


def test_a_third_partys_method_that_trains_nothing_fails_the_micro_layer(idle: str) -> None:
    report = gate("micro/runs", methods=[idle])
    assert len(failed(report)["micro/runs"]) == len(CELLS)
    assert all("trains nothing: none of its 7 scalars" in check.detail for check in report.checks)


def test_a_method_of_ours_whose_gradients_are_lost_fails_the_micro_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: Lora) -> None:
        for parameter in self.trained().values():
            parameter.grad = None

    monkeypatch.setattr(Lora, "after_backward", lose)
    found = failed(gate("micro", methods=["lora"]))
    assert sorted(found["micro/runs"]) == sorted(found["micro/losses"]) == sorted(EVERYWHERE)


def test_a_lora_scale_that_is_doubled_fails_the_micro_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Lora.attach

    def attach(self: Lora, model: Any, plan: Any, streams: Any) -> None:
        right(self, model, plan, streams)
        for layer in self._layers.values():
            layer.scaling[ADAPTER] *= 2  # type: ignore[index,operator]

    monkeypatch.setattr(Lora, "attach", attach)
    found = failed(gate("micro", methods=["lora"]))
    assert {group: sorted(names) for group, names in found.items()} == {"micro/losses": sorted(EVERYWHERE)}


def test_a_schedule_that_is_off_by_one_step_fails_both_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    right = runners.course.schedule_of

    def late(optimizer: Any, training: Any, total_steps: int) -> Any:
        return right(optimizer, training, total_steps + 1)

    monkeypatch.setattr(runners.fit, "schedule_of", late)
    found = failed(gate("micro", methods=["lora"]))
    assert {group: sorted(names) for group, names in found.items()} == {"micro/losses": sorted(EVERYWHERE)}
    monkeypatch.setattr(schedules, "schedule_of", late)
    rates = set(schedules.values()) - {"constant, warmup 0.0", "constant, warmup 0.06"}  # these have no end to shift
    assert set(failed(gate("exact/schedules"))["exact/schedules"]) == rates


def test_a_dropped_test_item_fails_both_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    right = harness.splits._Division.test

    def drop(self: Any, *given: Any, **options: Any) -> Any:
        whole = right(self, *given, **options)
        return whole if whole.sealed else replace(whole, indices=whole.chosen()[:-1], _cache=[])

    monkeypatch.setattr(harness.splits._Division, "test", drop)
    assert failed(gate("micro", methods=["base"])) == {"micro/items": sorted(CELLS)}
    names = failed(gate("exact/rows"))["exact/rows"]
    assert all(": test" in name or "as_published" in name for name in names)
    assert len(names) >= len([name for name in registry.tasks() if name.startswith("embedded/")])


def test_a_batch_in_another_order_fails_the_exact_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = harness.random.permutation
    monkeypatch.setattr(harness.random, "permutation", lambda size, **key: np.roll(right(size, **key), 1))
    assert any("batches of 8" in name for name in failed(gate("exact/rows"))["exact/rows"])


def test_a_diverging_method_fails_the_micro_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(self: Lora) -> None:
        for parameter in self.trained().values():
            parameter.grad = torch.full_like(parameter, torch.nan)

    monkeypatch.setattr(Lora, "after_backward", spoil)
    report = gate("micro/runs", methods=["lora"])
    assert all("ended as diverged" in check.detail for check in report.checks)
    assert report.outcome is Outcome.FAIL


@pytest.mark.parametrize("left", ["missing", "empty", "without values", "no JSON"])
def test_missing_or_empty_committed_values_are_no_data(left: str, tmp_path: Path) -> None:
    texts = {"empty": "", "no JSON": "{", "without values": '{"about": "", "versions": {}, "values": {}}'}
    if left != "missing":
        (tmp_path / "exact").mkdir()
        (tmp_path / "exact" / "streams.json").write_text(texts[left], encoding="utf-8")
    report = gate("exact/streams", folder=tmp_path)
    assert [check.outcome for check in report.checks] == [Outcome.NO_DATA]
    assert report.outcome.code == 4
    assert "paretune regression --accept" in report.checks[0].detail


def test_missing_losses_and_items_are_no_data_though_the_runs_pass(tmp_path: Path) -> None:
    report = gate("micro", folder=tmp_path, methods=["base"])
    assert [check.group for check in report.odd] == ["micro/items", "micro/losses"]
    assert report.outcome.code == 4


def test_what_was_committed_and_is_gone_blocks_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(harness.metric.METRICS, "pearson")
    report = gate("exact/metrics")
    assert [check.name for check in report.odd] == ["pearson"]
    assert report.outcome is Outcome.NO_DATA
