"""The values of a peft tuner: a validated model of its configuration's own fields, and what the run fills in itself."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Literal, Union

from pydantic import BaseModel, JsonValue, create_model
from torch import nn

from harness.method import Config, Plan
from harness.targets import weight_shape

Values = dict[str, JsonValue]

FROM_RUN = frozenset(
    {
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "target_parameters"),
        *("modules_to_save", "trainable_token_indices", "fan_in_fan_out", "total_step"),
        *("token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers"),
    }
)
"""Fields that follow from the targets, the head, the backbone or the plan, and are no values of the method."""
PLAIN = (int, float, str, bool, type(None), Any)
STEPS_UNKNOWN = 10**9
"""Stands for the number of steps while a run is only planned."""


def values_model(name: str, config: type, without: Collection[str] = ()) -> type[BaseModel]:
    """Return the model of a tuner's values: every field of its configuration, null for peft's own default.

    Args:
        name: the name of the model.
        config: the dataclass of peft.
        without: fields that nobody may set.
    """
    from peft.config import PeftConfig

    general = {field.name for field in dataclasses.fields(PeftConfig)}
    hints = typing.get_type_hints(config)
    # Any: field definitions of pydantic are pairs of a type and a default.
    fields: dict[str, Any] = {
        field.name: (hints[field.name] | None if _is_plain(hints[field.name]) else JsonValue, None)
        for field in dataclasses.fields(config)
        if field.name not in general | FROM_RUN | set(without)
    }
    return create_model(name, __base__=Config, __doc__=f"The fields of peft's {config.__name__}.", **fields)


def _is_plain(hint: Any) -> bool:  # Any: annotations have no common type
    """Return whether a value of this type is its own JSON."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType, list, dict):
        return all(map(_is_plain, typing.get_args(hint)))
    return hint in PLAIN


def fill(config: type, given: Mapping[str, JsonValue], model: nn.Module, plan: Plan) -> dict[str, Any]:
    """Return the arguments of peft's configuration: what is given, and by field name what it needs beside it.

    (Any: peft's own types.)
    """
    known = {field.name for field in dataclasses.fields(config)}
    standard = {
        "num_virtual_tokens": 20,  # as peft's own guides take, here and below, where a field has no default
        "adapter_len": 10,
        "adapter_layers": getattr(getattr(model, "config", None), "num_hidden_layers", None),
        "progressbar": False,
    }
    arguments: dict[str, Any] = {key: value for key, value in standard.items() if key in known}
    arguments |= {key: value for key, value in given.items() if value is not None}
    if "total_step" in known:
        arguments["total_step"] = plan.total_steps or STEPS_UNKNOWN
    if "fan_in_fan_out" in known:
        arguments["fan_in_fan_out"] = any(not isinstance(module, nn.Linear) for module in plan.targets.modules.values())
    if "target_r" in known and "init_r" in arguments:  # ranks are taken away from an initial one, by default a third
        initial = int(arguments["init_r"])
        final = int(arguments.setdefault("target_r", min(_default(config, "target_r"), 2 * initial // 3)))
        if not 0 < final < initial:
            raise ValueError(f"init_r {initial} leaves no rank to take away; take at least 2, and a target_r below it")
    return arguments


def sizes(config: type, given: Mapping[str, JsonValue]) -> dict[str, int | None]:
    """Return the whole-number fields that nobody set, with peft's defaults."""
    hints = typing.get_type_hints(config)
    return {
        field.name: _default(config, field.name)
        for field in dataclasses.fields(config)
        if hints[field.name] in (int, int | None, typing.Optional[int])  # noqa: UP045  # peft writes it so
        and field.name not in FROM_RUN
        and given.get(field.name) is None
        and not any(word in field.name for word in ("seed", "key"))
    }


def divisors(plan: Plan) -> list[int]:
    """Return the divisors of all widths of the targeted layers, largest first."""
    widths = [width for module in plan.targets.modules.values() for width in weight_shape(module)]
    common = math.gcd(*widths) if widths else 1
    return [size for size in range(common, 0, -1) if common % size == 0]


def _default(config: type, name: str) -> Any:  # Any: a field's default
    found = next(field.default for field in dataclasses.fields(config) if field.name == name)
    return None if found is dataclasses.MISSING else found
