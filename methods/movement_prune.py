"""Movement pruning: the weights are trained whole while those that move towards zero become zeros.

Paper: Sanh et al., Movement Pruning: Adaptive Sparsity by Fine-Tuning, NeurIPS 2020, https://arxiv.org/abs/2005.07683
Code: https://github.com/huggingface/transformers/tree/v4.40.0/examples/research_projects/movement-pruning
    (the baseline MvP of PST)
Maths: y = (M o W) x + b, W and scores S trained, S zero at the start; M zeroes the int(m n s_t) smallest S of each
    weight; with G = dL/d(M o W): dL/dW = M o G and, straight through the mask, dL/dS = G o W.
Count: 2 * sum(m n) over the targeted weights, the weights and their scores; convolutions with their kernels
Starts at identity: yes, nothing is pruned before the warm-up ends.
Differs from the paper: see the card. One learning rate serves weights and scores: only the order of the scores counts,
    they do not act on their own gradient, and optimisers scale what starts at zero with their rate (weight decay
    aside), so a rate of their own would change nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.method import Plan
from harness.random import Streams
from harness.targets import CONVOLUTIONS, LINEAR_TYPES
from methods.parts.pruning import PrunedWeight, Pruning

CARD = {
    "name": "movement_prune",
    "title": "Movement pruning",
    "paper": "Sanh et al., Movement Pruning: Adaptive Sparsity by Fine-Tuning, NeurIPS 2020",
    "url": "https://arxiv.org/abs/2005.07683",
    "year": 2020,
    "code": "https://github.com/huggingface/transformers/tree/v4.40.0/examples/research_projects/movement-pruning",
    "version": 1,
    "count": "2 * sum of m n over the targeted weights: weights and scores",
    "starts_at_identity": True,
    "differs": [
        "the schedule of PST, whose baseline it is: 10 % warm-up, 30 % cool-down",
        "one learning rate for weights and scores, whose order does not depend on theirs",
    ],
    "tuned": {"lr": [3e-5, 3e-3]},
}


class Scored(PrunedWeight):
    """A trained weight with a trained score per scalar."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__(parameter)
        self.own = {"scores": nn.Parameter(torch.zeros(parameter.shape, device=parameter.device))}

    def scores(self, weight: Tensor) -> Tensor:
        return self.own["scores"].detach()

    def trained(self) -> tuple[nn.Parameter, ...]:
        return self.parameter, self.own["scores"]

    def gradients(self, gradient: Tensor, *trained: Tensor) -> tuple[Tensor, ...]:
        weight, _ = trained
        return gradient * self.kept, gradient * weight


class MovementPrune(Pruning):
    """Prune trained weights by trained scores."""

    KINDS = (*LINEAR_TYPES, *CONVOLUTIONS)

    def count(self, model: nn.Module, plan: Plan) -> int:
        self.layers(model, plan)
        return 2 * sum(parameter.numel() for parameter in plan.targets.tensors.values())

    def prepare(self, model: nn.Module, plan: Plan, streams: Streams) -> dict[str, PrunedWeight]:
        weights: dict[str, PrunedWeight] = {name: Scored(p) for name, p in plan.targets.tensors.items()}
        self.train_dense(plan.targets.tensors)
        return weights


METHOD = MovementPrune
