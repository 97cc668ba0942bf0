"""Magnitude pruning: the weights are trained whole while the smallest of them become zeros.

Paper: Zhu and Gupta, To prune, or not to prune, 2017, https://arxiv.org/abs/1710.01878
Code: none; the baseline MaP of PST and of movement pruning.
Maths: y = (M o W) x + b, W trained; M zeroes the int(m n s_t) smallest |W| of each weight; dL/dW = M o dL/d(M o W).
Count: sum(m n) over the targeted weights; convolutions with their kernels
Starts at identity: yes, nothing is pruned before the warm-up ends.
Differs from the paper: see the card.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.method import Plan
from harness.random import Streams
from harness.targets import CONVOLUTIONS, LINEAR_TYPES
from methods.parts.pruning import PrunedWeight, Pruning

CARD = {
    "name": "magnitude_prune",
    "title": "Magnitude pruning",
    "paper": "Zhu and Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression, 2017",
    "url": "https://arxiv.org/abs/1710.01878",
    "year": 2017,
    "code": None,
    "version": 1,
    "count": "sum of m n over the targeted weights",
    "starts_at_identity": True,
    "differs": ["the schedule of PST, whose baseline it is: 10 % warm-up, 30 % cool-down, a new mask every step"],
    "tuned": {"lr": [3e-5, 3e-3]},
}


class Trained(PrunedWeight):
    """A trained weight, scored by magnitude."""

    def scores(self, weight: Tensor) -> Tensor:
        return weight.abs()

    def trained(self) -> tuple[nn.Parameter, ...]:
        return (self.parameter,)

    def gradients(self, gradient: Tensor, *trained: Tensor) -> tuple[Tensor, ...]:
        return (gradient.mul_(self.kept),)


class MagnitudePrune(Pruning):
    """Prune trained weights by their magnitude."""

    KINDS = (*LINEAR_TYPES, *CONVOLUTIONS)

    def count(self, model: nn.Module, plan: Plan) -> int:
        self.layers(model, plan)
        return sum(parameter.numel() for parameter in plan.targets.tensors.values())

    def prepare(self, model: nn.Module, plan: Plan, streams: Streams) -> dict[str, PrunedWeight]:
        weights: dict[str, PrunedWeight] = {name: Trained(p) for name, p in plan.targets.tensors.items()}
        self.train_dense(plan.targets.tensors)
        return weights


METHOD = MagnitudePrune
