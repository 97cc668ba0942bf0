"""Random masking: a uniformly random set of scalars of the targeted tensors is trained.

Paper: Xu, Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024,
       https://arxiv.org/abs/2405.02596
Code: https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning
Maths: W' = W + S, S (m x n) sparse with a fixed random support, its values zero at the start
Count: k; drawn as in the paper, k on average
Starts at identity: yes, S = 0.
Differs from the paper: exactly k scalars in all, dealt to the tensors in proportion to their size (the paper keeps each
with probability p: ``draw: bernoulli``); values are fp32; the mask follows the run's seed (the official script draws
one mask for all repetitions). Within a tensor, masks of one seed are nested: a smaller share is a subset of a larger.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.method import Plan
from harness.random import Streams, uniforms
from methods.parts.masking import SEED_BITS, MaskConfig, Masking, deal, targeted_sizes
from methods.parts.sparse import SparsePart

CARD = {
    "name": "random_mask",
    "title": "Random masking",
    "paper": "Xu and Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024",
    "url": "https://arxiv.org/abs/2405.02596",
    "year": 2024,
    "code": "https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning",
    "version": 1,
    "count": "k, exactly the budget; k on average with draw: bernoulli",
    "starts_at_identity": True,
    "differs": [
        "exactly k trained scalars, not a Bernoulli draw, unless draw says so",
        "fp32 values",
        "the mask follows the run's seed",
    ],
    "tuned": {"lr": [1e-3, 3e-1]},
    "budget": "count",
}


class RandomMaskConfig(MaskConfig):
    """Give a budget or a size; the paper's ratio is ``ratio``."""

    draw: Literal["exact", "bernoulli"] = Field(
        default="exact", description="exactly k scalars, or each with probability k / targeted scalars as in the paper"
    )


class RandomMask(Masking):
    """Train uniformly drawn scalars of the targeted tensors."""

    Config = RandomMaskConfig
    config: RandomMaskConfig

    def count(self, model: nn.Module, plan: Plan) -> int:
        """Return k; of a Bernoulli draw, k as drawn once it is attached, and the expected k before."""
        if self.config.draw == "bernoulli" and hasattr(self, "part"):
            return sum(indices.numel() for indices in self.part.indices.values())
        return super().count(model, plan)

    def solve(self, model: nn.Module, plan: Plan) -> MaskConfig:
        if self.config.draw == "bernoulli":
            raise ValueError(
                "draw: bernoulli trains k scalars on average and may exceed a budget; give density, ratio or count, or "
                "draw: exact"
            )
        return super().solve(model, plan)

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        sizes = targeted_sizes(plan)
        size = self.count(model, plan)
        if self.config.draw == "bernoulli":
            chance = size / sum(sizes.values())
            drawn = {name: _bernoulli(streams, name, sizes[name], chance) for name in sizes}
        else:
            counts = deal(size, sizes)
            drawn = {n: torch.from_numpy(streams.sample(sizes[n], counts[n], "mask", n)) for n in sizes}
        self.part = SparsePart(model, {name: indices for name, indices in drawn.items() if len(indices)})

    def stored_bits(self) -> int:
        """Return 32 bits per value and 64 for the seed that the indices are drawn from again."""
        return 32 * sum(values.numel() for values in self.part.values.values()) + SEED_BITS


def _bernoulli(streams: Streams, name: str, size: int, chance: float) -> Tensor:
    kept = uniforms(size, seed=streams.seed, purpose="mask", name=name) < chance
    return torch.from_numpy(kept).nonzero()[:, 0]


METHOD = RandomMask
