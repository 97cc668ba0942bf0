"""Methods on tiny backbones, for the tests: attach one, take steps, look at what moved."""

from __future__ import annotations

from typing import Any

import torch

from harness import registry
from harness.backbone import Backbone
from harness.method import MethodCard, Plan
from harness.spec import Budget
from runners.specimen import Specimen, load, plan, start

TASK = "embedded/agreement"
Attached = Specimen


def backbone(architecture: str, dtype: torch.dtype = torch.float32) -> Backbone:
    """Return a tiny backbone with a head for two classes."""
    return load(f"tiny:{architecture}", dtype)


def targets_of(name: str) -> str:
    return MethodCard.model_validate(registry.methods()[name].card).targets or "linear"


def planned(loaded: Backbone, targets: str, budget: int | None = None) -> Plan:
    return plan(loaded, targets, budget)


def attach(name: str, loaded: Backbone, *, seed: int = 0, targets: str | None = None, **values: Any) -> Attached:
    """Start a method; one that takes a budget and is given no values gets a tenth of N."""
    solves = registry.methods()[name].card.get("budget")
    budget = Budget(count=loaded.num_parameters // 10) if solves and not values else None
    return start(name, loaded, seed=seed, targets=targets or targets_of(name), budget=budget, values=values)
