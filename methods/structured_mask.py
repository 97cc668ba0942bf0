"""Structured masking: as many scalars as a random mask would train, but adjacent ones; an ablation of its randomness.

Paper: Xu, Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024,
       https://arxiv.org/abs/2405.02596 (ablation)
Code: https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning
Maths: W' = W + S; the support of S (m x n) are whole columns (inputs of the layer) side by side, of which the last one
chosen is filled from row 0 as far as the k scalars of the matrix reach
Count: k, exactly the budget
Starts at identity: yes, S = 0.
Differs from the paper: exactly k scalars per matrix also where k is a multiple of m (the official script then leaves a
column out); a random place is possible for several columns; any linear layer, not only square ones.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import weight_shape
from methods.parts.masking import SEED_BITS, MaskConfig, Masking, deal, targeted_sizes
from methods.parts.sparse import SparsePart

CARD = {
    "name": "structured_mask",
    "title": "Structured masking (adjacent scalars)",
    "paper": "Xu and Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, ICML 2024",
    "url": "https://arxiv.org/abs/2405.02596",
    "year": 2024,
    "code": "https://github.com/JingXuTHU/Random-Masking-Finds-Winning-Tickets-for-Parameter-Efficient-Fine-tuning",
    "version": 1,
    "count": "k, exactly the budget",
    "starts_at_identity": True,
    "differs": [
        "exactly k scalars per matrix, also where k is a multiple of its column length",
        "a random place is possible for several columns",
    ],
    "tuned": {"lr": [1e-3, 3e-1]},
    "budget": "count",
}


class StructuredMaskConfig(MaskConfig):
    """Give a budget or a size."""

    columns: Literal["first", "last", "random"] = Field(default="first", description="where the columns lie")


class StructuredMask(Masking):
    """Train adjacent columns of every targeted weight."""

    Config = StructuredMaskConfig
    config: StructuredMaskConfig

    def count(self, model: nn.Module, plan: Plan) -> int:
        if not plan.targets.modules:
            raise NotApplicable(
                f"structured_mask takes columns of linear layers; targets {plan.targets.name!r} names none, take "
                f"attention, mlp or linear"
            )
        return super().count(model, plan)

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        counts = deal(self.count(model, plan), targeted_sizes(plan))
        support = {}
        for layer, module in plan.targets.modules.items():
            name = f"{layer}.weight"
            if counts[name]:
                start = streams.integer("mask", name)
                support[name] = self._support(counts[name], module, start)
        self.part = SparsePart(model, support)

    def stored_bits(self) -> int:
        """Return 32 bits per value; where the columns lie follows from the seed."""
        return 32 * sum(values.numel() for values in self.part.values.values()) + SEED_BITS

    def _support(self, count: int, module: nn.Module, drawn: int) -> Tensor:
        rows, columns = weight_shape(module)
        num = -(-count // rows)
        start = {"first": 0, "last": columns - num, "random": drawn % (columns - num + 1)}[self.config.columns]
        places = torch.arange(count)
        row, column = places % rows, places // rows
        column = start + (num - 1 - column if self.config.columns == "last" else column)
        turned = not isinstance(module, nn.Linear)  # a Conv1D keeps its weight as (inputs, outputs)
        return (column * rows + row if turned else row * columns + column).sort().values


METHOD = StructuredMask
