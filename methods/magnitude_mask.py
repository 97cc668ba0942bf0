"""Magnitude masking: the largest or smallest weights are trained, for comparison with random and Fisher masks.

Paper: Sung, Nair, Raffel, Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021,
       https://arxiv.org/abs/2111.09839 (whose selection this one is an alternative to)
Code: none
Maths: the k scalars with the largest (or smallest) |theta_i| over all targeted tensors together form the support of
W' = W + S
Count: k, exactly the budget
Starts at identity: yes, S = 0.
Differs from the paper: it looks at weights only and needs no data.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from harness.method import Plan
from harness.random import Streams
from methods.parts.masking import MaskConfig, Masking
from methods.parts.scores import best
from methods.parts.sparse import SparsePart

CARD = {
    "name": "magnitude_mask",
    "title": "Magnitude masking",
    "paper": "Sung et al., Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021",
    "url": "https://arxiv.org/abs/2111.09839",
    "year": 2021,
    "code": None,
    "version": 1,
    "count": "k, exactly the budget",
    "starts_at_identity": True,
    "differs": ["chooses by the weights alone, without data"],
    "tuned": {"lr": [1e-3, 1e-1]},
    "budget": "count",
}


class MagnitudeMaskConfig(MaskConfig):
    """Give a budget or a size."""

    order: Literal["largest", "smallest"] = Field(default="largest", description="which weights are trained")


class MagnitudeMask(Masking):
    """Train the k scalars of largest or smallest magnitude."""

    Config = MagnitudeMaskConfig
    config: MagnitudeMaskConfig

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        sign = 1.0 if self.config.order == "largest" else -1.0
        sizes = {name: sign * p.detach().float().abs() for name, p in plan.targets.tensors.items()}
        chosen = best(sizes, self.count(model, plan))
        self.part = SparsePart(model, {name: indices for name, indices in chosen.items() if len(indices)})


METHOD = MagnitudeMask
