"""Masking: what all masks share. A mask trains a set of scalars of the targeted tensors and differs in its choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from methods.parts.sparse import SparsePart

SEED_BITS = 64
"""What a mask takes in a file that is drawn again from its seed."""


class MaskConfig(Config):
    """The size of a mask: give a budget, or exactly one of these."""

    count: int | None = Field(default=None, ge=1, description="trained scalars in all")
    density: float | None = Field(default=None, gt=0, le=1, description="share of the targeted scalars")
    ratio: float | None = Field(default=None, gt=0, le=1, description="share of all scalars of the backbone")

    @model_validator(mode="after")
    def _one_size(self) -> MaskConfig:
        given = [name for name in ("count", "density", "ratio") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} state the size twice; give one of them")
        return self


class Masking(Method):
    """The base of the masks; a subclass makes ``part`` in ``attach``."""

    Config = MaskConfig
    config: MaskConfig
    part: SparsePart

    def asked(self, model: nn.Module, plan: Plan) -> int:
        """Return the number of scalars that the configuration asks for, be they there or not.

        Raises:
            ValueError: if no size is given.
        """
        config = self.config
        if config.count is not None:
            return config.count
        if config.density is not None:
            return _share(config.density, num_targeted(plan))
        if config.ratio is not None:
            return _share(config.ratio, self.total(model, plan))
        name = type(self).__module__.rpartition(".")[2]
        raise ValueError(f"{name} needs a size: give it a budget (such as 0.1%), density, ratio or count")

    def total(self, model: nn.Module, plan: Plan) -> int:
        """Return what ``ratio`` is a share of."""
        return plan.total

    def charged(self, model: nn.Module, plan: Plan) -> int:
        """Return the scalars of the head that the size includes."""
        return 0

    def solve(self, model: nn.Module, plan: Plan) -> MaskConfig:
        """Take the budget itself: floor 1, ceiling every scalar of the targeted tensors."""
        assert plan.budget is not None
        sized = [name for name in ("density", "ratio") if getattr(self.config, name) is not None]
        if sized:
            raise ValueError(f"a budget and {sized[0]} state the size twice; give one of them")
        solved = self.config.model_copy(update={"count": plan.budget})
        type(self)(solved).count(model, plan)
        return solved

    def count(self, model: nn.Module, plan: Plan) -> int:
        asked, head, ceiling = self.asked(model, plan), self.charged(model, plan), num_targeted(plan)
        charged = f", {head} of them the head's" if head else ""
        if asked <= head:
            raise NotApplicable(f"smallest is {head + 1}{charged} ({asked} asked)")
        if asked - head > ceiling:
            raise NotApplicable(f"largest is {ceiling + head} on targets {plan.targets.name}{charged}")
        return asked - head

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {f"{name}@values": values for name, values in self.part.values.items() if self.keeps(values)}

    def keeps(self, values: Tensor) -> bool:
        """Return whether a tensor's values are listed; one of which nothing is trained is not."""
        return values.numel() > 0

    def buffers(self) -> dict[str, Tensor]:
        return {f"{name}@indices": indices for name, indices in self.part.indices.items()}

    def load_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        super().load_buffers(buffers)
        support = {name.removesuffix("@indices"): indices.long() for name, indices in buffers.items()}
        for name, indices in support.items():
            size = self.part.parameters[name].numel()
            ascending = bool((indices[1:] > indices[:-1]).all())
            if indices.dim() != 1 or not ascending or (len(indices) and not 0 <= indices[0] <= indices[-1] < size):
                raise ValueError(
                    f"this trained part does not fit {type(self).__name__} on this backbone; its indices of {name} are "
                    f"not ascending within the {size} scalars that it has here"
                )
        if any(not torch.equal(support[name].to(old.device), old) for name, old in self.part.indices.items()):
            self.part.reselect(support)

    def after_step(self, step: int) -> None:
        self.part.patch()

    def loaded(self) -> None:
        self.part.patch()

    def stored_bits(self) -> int:
        """Return 32 bits per value, and the bits of each index in its tensor."""
        indices = sum(
            indices.numel() * math.ceil(math.log2(max(2, self.part.parameters[name].numel())))
            for name, indices in self.part.indices.items()
        )
        return super().stored_bits() + indices

    def merge(self, model: nn.Module) -> None:
        self.part.release()

    def remove(self, model: nn.Module) -> None:
        self.part.remove()


def deal(count: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Deal ``count`` to tensors in proportion to their sizes, exactly (largest remainders, ties by name).

    Raises:
        NotApplicable: if there are fewer scalars than ``count``.
    """
    total = sum(sizes.values())
    if count > total:
        raise NotApplicable(f"largest is {total}")
    dealt = {name: count * size // total for name, size in sizes.items()}
    left = count - sum(dealt.values())
    by_remainder = sorted(sizes, key=lambda name: (-(count * sizes[name] % total), name))
    for name in by_remainder[:left]:
        dealt[name] += 1
    assert sum(dealt.values()) == count
    return dealt


def targeted_sizes(plan: Plan) -> dict[str, int]:
    """Return the number of scalars of each targeted tensor."""
    return {name: parameter.numel() for name, parameter in plan.targets.tensors.items()}


def num_targeted(plan: Plan) -> int:
    """Return the number of all targeted scalars: what no mask can exceed."""
    return sum(targeted_sizes(plan).values())


def empty_supports(parameters: Mapping[str, Any]) -> dict[str, Tensor]:  # Any: only the names matter
    """Return a support that selects nothing yet and names every tensor that may be selected from."""
    return {name: torch.empty(0, dtype=torch.int64) for name in parameters}


def _share(share: float, total: int) -> int:
    # 0.1 % of 22 million must not lose a scalar to the binary form of 0.001.
    return int(share * total + 1e-6)
