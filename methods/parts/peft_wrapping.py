"""A model wrapped by peft: what is put into it, what of it is trained, and whether it can be merged."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import JsonValue
from torch import nn

from harness.method import Plan
from harness.targets import LINEAR_TYPES, weight_shape
from methods.parts.peft_values import fill

ADAPTER = "paretune"
TASKS = {
    "SequenceClassification": "SEQ_CLS",
    "QuestionAnswering": "QUESTION_ANS",
    "TokenClassification": "TOKEN_CLS",
    "CausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
}
"""Ends of transformers' class names to peft's word for the task, which tells a prompt where it goes."""


class Excess(NamedTuple):
    """A rank that no product of a layer's shape can have."""

    rank: int
    side: int
    """The layer's smallest side."""


class Wrapped(NamedTuple):
    """What peft made of a model (Any, here and below: peft's classes are known at run time only)."""

    model: Any
    """peft's wrapper; the model inside is the one that was given, rebuilt in place."""
    advice: frozenset[str]
    """What peft warned of."""


def inject(tuner: str, values: Mapping[str, JsonValue], model: nn.Module, plan: Plan) -> Wrapped:
    """Put a tuner into ``model``, in place.

    Args:
        tuner: the name that peft registers.
        values: of its configuration; null where peft's own default is taken.
        model: a frozen backbone with its head.
        plan: says what is targeted.

    Raises:
        Exception: of any kind, peft's own for what it cannot do.
    """
    import peft
    from peft.utils import ModulesToSaveWrapper

    config, kind = classes(tuner)
    arguments = fill(config, values, model, plan)
    # A tuner that may leave modules out chooses among modules; others tune one thing, such as the embedding.
    if hasattr(kind, "target_module_mapping") or hasattr(config, "exclude_modules"):
        arguments["target_modules"] = _chosen(kind, model, plan)
    if issubclass(config, peft.PromptLearningConfig):
        ends = [word for end, word in TASKS.items() if type(model).__name__.endswith(end)]
        arguments["task_type"] = ends[0] if ends else None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        wrapped = peft.get_peft_model(model, config(**arguments), ADAPTER)
    for parent in list(model.modules()):  # the head is the run's, not a copy of peft's
        for child, module in list(parent.named_children()):
            if isinstance(module, ModulesToSaveWrapper):
                setattr(parent, child, module.original_module)
    return Wrapped(wrapped, frozenset(str(each.message) for each in said if each.category is UserWarning))


def classes(tuner: str) -> tuple[Any, Any]:
    """Return peft's configuration and model class of a tuner, from its own tables."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import PeftType

    kind = PeftType[tuner.upper()]
    return PEFT_TYPE_TO_CONFIG_MAPPING[kind], PEFT_TYPE_TO_TUNER_MAPPING[kind]


def trained(wrapped: Any, head: frozenset[str]) -> dict[str, nn.Parameter]:
    """Return what peft made trainable outside the head, by name."""
    frozen = {  # facts beside the adapter, such as a current rank, which moving to another device would free
        id(parameter)
        for layer in wrapped.modules()
        for name in getattr(layer, "other_param_names", ())
        if isinstance(beside := getattr(layer, name, None), nn.Module)
        for parameter in beside.parameters()
    }
    named = {name.removeprefix("base_model.").removeprefix("model."): p for name, p in wrapped.named_parameters()}
    return {n: p for n, p in named.items() if p.requires_grad and n not in head and id(p) not in frozen}


def excess(wrapped: Any) -> Excess | None:
    """Return the first rank above its layer's smallest side, or null.

    A rank is the side that two trained matrices of a layer share, one with its outputs and one with its inputs beside
    it: peft has no one name for it.
    """
    for layer in wrapped.modules():
        base = getattr(layer, "base_layer", None)
        if not isinstance(base, LINEAR_TYPES):
            continue
        outputs, inputs = weight_shape(base)
        shapes = [tuple(p.shape) for p in layer.parameters() if p.requires_grad and p.dim() == 2]
        ups = {rank for rows, rank in shapes if rows == outputs}
        downs = {rank for rank, columns in shapes if columns == inputs}
        rank, side = max(ups & downs, default=0), min(outputs, inputs)
        if rank > side:
            return Excess(rank, side)
    return None


def way(wrapped: Any) -> tuple[tuple[str, str], ...]:
    """Return what a switch of LoRA can change: trained tensors, scales, and the variant of a layer's arithmetic."""
    scales = [("scale", str(getattr(layer, "scaling", ""))) for layer in wrapped.modules()]
    variants = [("variant", str([type(v) for v in getattr(m, "lora_variant", {}).values()])) for m in wrapped.modules()]
    return (*((name, str(p.shape)) for name, p in wrapped.named_parameters()), *scales, *variants)


def unmergeable(wrapped: Any) -> str | None:
    """Return why the tuner cannot be merged, or null: one layer of each kind is merged, as a copy."""
    tuner = wrapped.base_model
    if not hasattr(type(tuner), "merge_and_unload"):
        return "it changes the inputs of layers, not their weights"
    try:
        tuner._check_merge_allowed()
        for layer in _kinds(tuner):
            layer.merge(adapter_names=[])  # merges nothing: what peft has not written refuses at once
            copy.deepcopy(layer).merge()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:  # not written, or not for these weights' type
        return str(error)
    return None


def _kinds(tuner: Any) -> Iterator[Any]:
    """Yield the first of the layers that are alike: of one class, with a bias or without."""
    seen = set()
    for layer in tuner.modules():
        if hasattr(layer, "merge") and hasattr(layer, "base_layer"):
            kind = type(layer), getattr(layer.base_layer, "bias", None) is None
            if kind not in seen:
                seen.add(kind)
                yield layer


def _chosen(kind: Any, model: nn.Module, plan: Plan) -> list[str] | None:
    """Return the names of the modules to tune: the targets, or what peft's table names that are no linear layers."""
    table: dict[str, list[str]] | None = getattr(kind, "target_module_mapping", None)
    if table == {}:  # the tuner finds whole blocks on its own
        return None
    family = getattr(getattr(model, "config", None), "model_type", "")
    table = table or {}
    words = set(table.get(family) or [word for words in table.values() for word in words])
    heads = {name.rpartition(".")[0] for name in plan.head}
    named = {
        name: module for name, module in model.named_modules() if name.rpartition(".")[2] in words and name not in heads
    }
    if named and not any(isinstance(module, LINEAR_TYPES) for module in named.values()):
        return list(named)
    if not plan.targets.modules:
        raise ValueError(f"targets {plan.targets.name!r} names no linear layer to tune")
    return list(plan.targets.modules)
