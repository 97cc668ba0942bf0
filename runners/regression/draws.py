"""Draws: the words of named streams, and what each method starts from for a seed: mask indices and initial values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from harness import random, registry
from harness.errors import NotApplicable
from harness.method import BUFFER, MethodCard
from harness.spec import Budget
from runners import specimen
from runners.check import conditions

STREAMS_ABOUT = "Call of harness.random to a digest of what it draws; the same for ever, on every version and device."
STREAMS_NEEDS: tuple[str, ...] = ()
ABOUT = (
    "Method and seed on tiny:bert with a budget of a tenth to digests of its mask indices and of its initial values."
)
NEEDS = ("torch", "transformers", "peft", "machine")
SEEDS = (0, 1)


def streams() -> dict[str, JsonValue]:
    """Return digests of draws of each kind."""
    found: dict[str, JsonValue] = {}
    for seed in SEEDS:
        of = random.Streams(seed)
        found[f"words, seed {seed}"] = [f"{word:016x}" for word in random.words(3, seed=seed, purpose="mask").tolist()]
        found[f"uniforms, seed {seed}"] = of.uniforms(3, "mask", "a").tolist()
        found[f"permutation of 1,000, seed {seed}"] = digest(of.permutation(1000, "order", "rows/1"))
        found[f"100 of 1,000, seed {seed}"] = digest(of.sample(1000, 100, "mask", "a"))
        found[f"integer, seed {seed}"] = str(of.integer("init", "head"))
    return found


def values() -> dict[str, JsonValue]:
    """Return digests of what each method starts from; family members are left to their library."""
    found: dict[str, JsonValue] = {}
    template = specimen.load("tiny:bert")
    for name, entry in registry.methods().items():
        if entry.family or entry.origin != "built-in":
            continue
        budget = Budget(fraction=0.1) if MethodCard.model_validate(entry.card).budget else None
        for seed in SEEDS:
            with conditions("cpu"):
                torch.manual_seed(0)
                try:
                    started = specimen.start(name, template, seed=seed, budget=budget)
                except NotApplicable:
                    break
                found[f"{name}, seed {seed}"] = _start(started.method.state())
                started.detach()
    return found


def digest(values: NDArray[np.int64]) -> str:
    """Return a short digest of an array of numbers."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def _start(state: Mapping[str, Tensor]) -> str:
    """Return digests of whole numbers (indices) and of others (values), each by name and in order."""
    buffers = {name: tensor for name, tensor in state.items() if name.startswith(BUFFER)}
    whole = {name: tensor for name, tensor in buffers.items() if not tensor.is_floating_point()}
    others = {name: tensor for name, tensor in state.items() if name not in whole}
    indices = f"{sum(tensor.numel() for tensor in whole.values())} indices {_of(whole)}, " if whole else ""
    return f"{indices}{sum(tensor.numel() for tensor in others.values())} values {_of(others)}"


def _of(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name}{tuple(tensors[name].shape)}".encode())
        found.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
