"""Every discovered method keeps every promise of the contract, on a tiny backbone of every architecture.

The promises themselves are functions of ``runners.promises``, which ``tests/runners/test_promises.py`` holds against
methods that break them. Members of families (names with a slash) are swept by the family's own tests.
"""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from harness import registry
from harness.method import MethodCard
from harness.tiny import ARCHITECTURES
from runners.check import Finding, check_method
from tests.methods.attaching import attach, backbone

METHODS = sorted(name for name in registry.methods() if "/" not in name)
NOT_APPLICABLE = {
    ("adapter", "resnet"): "stands after layers that write to the residual stream; targets 'linear' names none",
    ("bitfit", "llama"): "has no biases outside its head",
    ("goft", "resnet"): "turns the inputs of linear layers; targets 'linear' names none",
    ("goft_scaled", "resnet"): "turns the inputs of linear layers; targets 'linear' names none",
    ("lora", "resnet"): "adapts linear layers; targets 'linear' names none",
    ("pst", "resnet"): "prunes the weights of Linear, Conv1D",
    ("qgoft", "resnet"): "turns the inputs of linear layers; targets 'linear' names none",
    ("structured_mask", "resnet"): "takes columns of linear layers; targets 'linear' names none",
}
"""May only shrink: pairs that make no sense, and the reason that is given. All others keep every promise."""
PAIRS = list(itertools.product(METHODS, ARCHITECTURES))
IN_BF16 = list(itertools.product(METHODS, ("bert", "gpt2", "llama")))
ALWAYS_KEPT = {
    "card",
    "output at the start",
    "count",
    "only the trained part moves",
    "save and load",
    "a foreign part is refused",
    "detach",
    "same seed, same bits",
    "each row for itself",
    "configuration",
    "stored bits",
}
"""Promises from which no applicable method is excused; the others may be not applicable for a reason of their own."""
EXCUSES = {
    "budget": "the method has one size",
    "all of it can move": "nothing is trained",
    "merge": r"scalars stay beside the backbone",
    "the loss falls": "nothing is trained",
    "sparsity": "the method makes no sparse model",
}


def judge(name: str, architecture: str, dtype: torch.dtype = torch.float32) -> None:
    findings = {one.promise: one for one in check_method(name, f"tiny:{architecture}", dtype=dtype)}
    assert findings.keys() == ALWAYS_KEPT | EXCUSES.keys()
    assert [one for one in findings.values() if one.outcome == "broken"] == []
    reason = NOT_APPLICABLE.get((name, architecture))
    if reason is not None:
        assert inapplicable(findings, reason), "a pair that is applicable now leaves the table"
        return
    not_kept = [promise for promise in findings if findings[promise].outcome != "kept"]
    assert not set(not_kept) & ALWAYS_KEPT, [findings[promise] for promise in not_kept]
    assert all(re.search(EXCUSES[promise], findings[promise].detail) for promise in not_kept)
    excused = MethodCard.model_validate(registry.methods()[name].card)
    assert ("budget" in not_kept) == (excused.budget is None)


def inapplicable(findings: dict[str, Finding], reason: str) -> bool:
    rest = [one for one in findings.values() if one.promise != "card"]
    return all(one.outcome == "not_applicable" and re.search(reason, one.detail) for one in rest)


def test_the_sweep_visits_every_method_on_every_architecture() -> None:
    sources = {path.stem for path in (registry.ROOT / "methods").glob("*.py")} - {"__init__", "peft"}
    assert sources == set(METHODS), "a file is a method, and every method here is one of this project"
    assert {"bert", "roberta", "deberta-v2", "opt", "gpt2", "llama", "vit", "resnet"} <= set(ARCHITECTURES)
    assert len(PAIRS) == len(METHODS) * len(ARCHITECTURES) >= 136
    assert set(NOT_APPLICABLE) <= set(PAIRS)
    assert len(PAIRS) - len(NOT_APPLICABLE) >= 128


@pytest.mark.parametrize(("name", "architecture"), PAIRS)
def test_every_promise_is_kept(name: str, architecture: str) -> None:
    judge(name, architecture)


@pytest.mark.parametrize(("name", "architecture"), IN_BF16)
def test_every_promise_is_kept_in_bf16(name: str, architecture: str) -> None:
    judge(name, architecture, torch.bfloat16)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_named_after_its_file(name: str) -> None:
    assert name == registry.methods()[name].path.stem


def test_only_the_reference_point_trains_nothing() -> None:
    idle = [name for name in METHODS if not attach(name, backbone("bert")).method.updated()]
    assert idle == ["base"]
