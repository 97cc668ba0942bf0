"""Random masking: a uniformly random set of scalars of the targeted tensors is trained.

Paper: Xu, Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024,
       https://arxiv.org/abs/2405.02596
Code: https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning
Maths: W' = W + S, S (m x n) sparse with a fixed random support, its values zero at the start    Count: k
Starts at identity: yes, S = 0.
Differs from the paper: exactly k scalars in all (the paper keeps each with probability p), dealt to the tensors in
proportion to their size; values are fp32; the mask follows the run's seed (the official script draws one mask for
all repetitions). Within a tensor, masks of one seed are nested: a smaller share is a subset of a larger one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pydantic import Field
from torch import nn

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from methods.parts.sparse import SparsePart

CARD = {
    "name": "random_mask",
    "title": "Random masking",
    "paper": "Xu and Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024",
    "url": "https://arxiv.org/abs/2405.02596",
    "year": 2024,
    "code": "https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning",
    "version": 1,
    "count": "k, exactly the budget",
    "starts_at_identity": True,
    "differs": [
        "exactly k trained scalars, not a Bernoulli draw",
        "fp32 values",
        "the mask follows the run's seed",
    ],
    "tuned": {"lr": [1e-3, 1e-1]},
    "budget": "count",
}


class RandomMaskConfig(Config):
    """Give a budget, or ``count`` itself."""

    count: int | None = Field(default=None, ge=1, description="trained scalars in all")


class RandomMask(Method):
    """Train exactly ``count`` scalars of the targeted tensors, drawn uniformly."""

    Config = RandomMaskConfig
    config: RandomMaskConfig

    def solve(self, model: nn.Module, plan: Plan) -> RandomMaskConfig:
        """Take the budget itself: floor 1, ceiling every scalar of the targeted tensors."""
        assert plan.budget is not None
        ceiling = sum(parameter.numel() for parameter in plan.targets.tensors.values())
        if plan.budget < 1:
            raise NotApplicable("smallest is 1")
        if plan.budget > ceiling:
            raise NotApplicable(f"largest is {ceiling} on targets {plan.targets.name}")
        return RandomMaskConfig(count=plan.budget)

    def count(self, model: nn.Module, plan: Plan) -> int:
        if self.config.count is None:
            raise ValueError("random_mask needs a size: give it a budget (such as 0.1%) or count")
        return self.config.count

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        sizes = {name: parameter.numel() for name, parameter in plan.targets.tensors.items()}
        counts = deal(self.count(model, plan), sizes)
        support = {
            name: torch.from_numpy(streams.sample(size, counts[name], "mask", name))
            for name, size in sizes.items()
            if counts[name]
        }
        self.part = SparsePart(model, support)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {f"{name}@values": values for name, values in self.part.values.items()}

    def after_step(self, step: int) -> None:
        self.part.patch()

    def loaded(self) -> None:
        self.part.patch()

    def stored_bits(self) -> int:
        """Return 32 bits per value and 64 for the seed that the indices are drawn from again."""
        return super().stored_bits() + 64

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
    assert np.sum(list(dealt.values())) == count
    return dealt


METHOD = RandomMask
