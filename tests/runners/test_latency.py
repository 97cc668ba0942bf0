"""What one row takes as trained, and through the backbone alone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from torch import nn

from harness import registry
from harness.method import Method
from tests.runners.specs import METHODS, generated_once, run, spec

rows = generated_once
SLEEP = 0.03


@pytest.mark.parametrize("method", METHODS)
def test_a_final_run_tells_both_and_charges_them_to_no_other_phase(method: str) -> None:
    outcome = run(spec(method))
    cost = outcome.cost()
    assert cost.latency_seconds is not None
    assert cost.plain_latency_seconds is not None
    assert 0 < cost.latency_seconds + cost.plain_latency_seconds < cost.seconds["latency"]
    assert outcome.reusable


def test_a_trial_tells_neither() -> None:
    cost = run(spec("lora", purpose="trial")).cost()
    assert (cost.latency_seconds, cost.plain_latency_seconds, cost.seconds.get("latency")) == (None, None, None)


def test_the_time_of_a_structure_is_in_the_first_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.load_method("bitfit")
    attach, remove = kind.attach, kind.remove
    handles: list[Any] = []

    def slowly(self: Method, model: nn.Module, *others: Any) -> None:
        attach(self, model, *others)
        handles.append(model.register_forward_pre_hook(lambda *inputs: time.sleep(SLEEP)))

    def quick_again(self: Method, model: nn.Module) -> None:
        handles.pop().remove()
        remove(self, model)

    monkeypatch.setattr(kind, "attach", slowly)
    monkeypatch.setattr(kind, "remove", quick_again)
    cost = run(spec("bitfit")).cost()
    assert cost.latency_seconds is not None
    assert cost.plain_latency_seconds is not None
    assert cost.latency_seconds > SLEEP
    assert cost.latency_seconds - cost.plain_latency_seconds > SLEEP / 2, "the fastest of three passes each"
