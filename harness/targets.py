"""Targets: which tensors of a backbone a method may touch, resolved per architecture, the same for all methods.

The linear layers of a transformer are those inside its stack of equal blocks, so embeddings, pooler and head are
never among them; a name decides whether one belongs to attention, and to its query or value projection. The linear
maps of a convolutional network are the convolutions inside its stacks; they are tensors that a mask can touch, and no
linear layers that an adapter could stand beside.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from torch import nn
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable

QUERY_VALUE = frozenset({"query", "value", "q_proj", "v_proj", "query_proj", "value_proj", "q_lin", "v_lin"})
LINEAR_TYPES = (nn.Linear, Conv1D)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Targets:
    """What a name of targets means on one backbone."""

    name: str
    modules: dict[str, nn.Module]
    """The targeted linear layers by module name; empty for ``all`` and ``none``, and without convolutions."""
    tensors: dict[str, nn.Parameter]
    """Every targeted parameter by name, tied ones once."""


def backbone_parameters(model: nn.Module, head: frozenset[str]) -> dict[str, nn.Parameter]:
    """Return the parameters outside the head by name, tied ones once."""
    return {name: parameter for name, parameter in model.named_parameters() if name not in head}


def resolve(model: nn.Module, targets: str | tuple[str, ...], head: frozenset[str]) -> Targets:
    """Find the targeted tensors.

    Args:
        model: a backbone with its head; the meta device will do.
        targets: a name of ``harness.spec.TARGETS``, or patterns of module names such as ``*.layer.5.*``.
        head: names of the head's parameters.

    Raises:
        NotApplicable: if nothing in this architecture matches.
    """
    parameters = backbone_parameters(model, head)
    if targets == "all":
        return Targets("all", {}, parameters)
    if targets == "none":
        return Targets("none", {}, {})
    layers = _block_layers(model, head)
    if isinstance(targets, str):
        chosen = {name: module for name, module in layers.items() if _is(targets, name)}
        label = targets
    else:
        chosen = {n: m for n, m in layers.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in targets)}
        label = ",".join(targets)
    if not chosen:
        raise NotApplicable(
            f"no layer of {type(model).__name__} matches targets {label!r}; its layers are named "
            f"{', '.join(sorted({name.rpartition('.')[2] for name in layers})) or 'nothing'}"
        )
    linears: dict[str, nn.Module] = {
        name: module for name, module in chosen.items() if isinstance(module, LINEAR_TYPES)
    }
    return Targets(label, linears, {f"{name}.weight": parameters[f"{name}.weight"] for name in chosen})


def weight_shape(module: nn.Module) -> tuple[int, int]:
    """Return (outputs, inputs) of a linear layer; a Conv1D keeps its weight the other way round."""
    rows, columns = module.weight.shape  # type: ignore[misc]  # a module's attributes are typed as tensor or module
    return (columns, rows) if isinstance(module, Conv1D) else (rows, columns)


def _block_layers(model: nn.Module, head: frozenset[str]) -> dict[str, nn.Module]:
    stacks = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        and len(module)
        and len({type(block) for block in module}) == 1
    ]
    layers: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (*LINEAR_TYPES, *CONVOLUTIONS))
        and any(name.startswith(f"{stack}.") for stack in stacks)
        and f"{name}.weight" not in head
    }
    return {name: module for name, module in layers.items() if isinstance(module, LINEAR_TYPES)} or layers


def _is(targets: str, name: str) -> bool:
    attention = any("att" in part for part in name.split("."))
    if targets == "query_value":
        return name.rpartition(".")[2] in QUERY_VALUE
    return targets == "linear" or (targets == "attention") == attention
