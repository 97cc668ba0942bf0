"""Prepare: what a run starts from (head, plan, method, splits, types, lengths): all that moves a number beside fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

import torch

from harness import registry
from harness import splits as dividing
from harness.backbone import Backbone, BackboneFiles
from harness.data import DataSource
from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.protocol import Protocol, meet
from harness.random import Streams
from harness.spec import Spec
from harness.targets import backbone_parameters, resolve


def applicable(spec: Spec, files: BackboneFiles) -> None:
    """Find out, from shapes alone, that a spec makes sense, before any work is done.

    Raises:
        NotApplicable: with the reason.
        ValueError: for values that the method refuses, by name.
    """
    protocol_of(spec)
    model, head = _shapes(files, spec.protocol, spec.train, json.dumps(spec.options, sort_keys=True))
    for name in spec.score:
        hidden = registry.load_task(name).card.hidden_labels
        if hidden and spec.purpose == "final":
            raise NotApplicable(f"{name} cannot be scored here: {hidden}")
    method, plan = _configured(spec, model, head)
    method.count(model, plan)


def frozen_dtype(spec: Spec, device: str) -> torch.dtype:
    """Return the type of the frozen weights: bf16 on a GPU and fp32 elsewhere, unless the spec says."""
    if spec.training.dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    return torch.bfloat16 if spec.training.dtype == "bfloat16" else torch.float32


def attach(spec: Spec, backbone: Backbone, num_rows: int) -> tuple[Method, Plan]:
    """Give the backbone a fresh head and attach the spec's method to it; return the method and its plan."""
    streams, training = Streams(spec.seed), spec.training
    backbone.initialise_head(streams.integer("init", "head"))
    steps = {
        "total_steps": training.epochs * -(-num_rows // training.batch_size),
        "epochs": training.epochs,
        "batch_size": training.batch_size,
    }
    method, plan = _configured(spec, backbone.model, backbone.head, steps)
    method.start(backbone.model, plan, streams)
    return method, plan


def protocol_of(spec: Spec, task: str | None = None) -> Protocol:
    """Return the spec's trained task, or another, met through its protocol.

    Raises:
        MissingPrerequisite: for values of the protocol that are wrong, or do not go with those of training.
    """
    found = meet(spec.protocol, registry.load_task(task or spec.train, spec.protocol).card, spec.options)
    found.check(spec.training)
    return found


def splits(spec: Spec, source: DataSource) -> dividing.Splits:
    """Divide the raw rows as the spec says; a trial's test rows are sealed."""
    return dividing.split(
        registry.load_task(spec.train, spec.protocol),
        [registry.load_task(name, spec.protocol) for name in spec.score],
        source,
        policy=spec.policy,
        sizes=spec.sizes,
        data_seed=spec.data_seed,
        sealed=spec.purpose == "trial",
    )


def max_length(spec: Spec, backbone: Backbone) -> int:
    """Return the tokens that a text may have: the spec's, or what the backbone's positions allow."""
    allowed = int(getattr(backbone.model.config, "max_position_embeddings", 10**9))
    for name, module in backbone.model.named_modules():
        if name.endswith("position_embeddings") and isinstance(getattr(module, "padding_idx", None), int):
            allowed -= module.padding_idx + 1  # RoBERTa counts positions from after padding
    return min(spec.training.max_length, allowed)


@cache
def _shapes(files: BackboneFiles, protocol: str, train: str, options: str) -> tuple[torch.nn.Module, frozenset[str]]:
    card = registry.load_task(train, protocol).card
    return meet(protocol, card, json.loads(options)).build(files, meta=True)


def _configured(
    spec: Spec, model: torch.nn.Module, head: frozenset[str], steps: Mapping[str, int] | None = None
) -> tuple[Method, Plan]:
    """Return the spec's method with its values validated and its budget solved, and the plan for ``attach``."""
    kind = registry.load_method(spec.method)
    total = sum(parameter.numel() for parameter in backbone_parameters(model, head).values())
    plan = Plan(
        targets=resolve(model, spec.targets, head),
        head=head,
        total=total,
        budget=spec.budget.scalars(total) if spec.budget else None,
        **(steps or {}),
    )
    method = kind(kind.Config.model_validate(spec.values))
    return (kind(method.solve(model, plan)) if spec.budget else method), plan
