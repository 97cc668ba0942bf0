"""GOFT: a tree of Givens rotations turns the inputs of each targeted layer; norms and angles of its neurons stay.

Paper: Ma, Chu, Yang, Lin, Gao, Zhao, Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024,
       https://arxiv.org/abs/2404.04316
Code: https://github.com/ArthurLeoM/peft-givens
Maths: y = W R^T x + b, R (d x d) = P_L ... P_2 P_1, L = ceil(log2 d); P_r turns the pairs (2sk, 2sk + s), s = 2^(r-1),
       each by [[cos, -sin], [sin, cos]] of its angle pi tanh(t); P_L^T acts on x first
Count: sum of (d - 1) over the targeted layers, d their inputs
Starts at identity: yes, t = 0.
Differs from the paper: the angle is pi tanh(t), as in the official code, where the paper has a free angle. That code
trains a scale as well unless told otherwise (here goft_scaled), and its present state turns neighbours in every stage,
which is not orthogonal; this follows the first state, which agrees with the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from methods.parts.givens import Rotating, products, rotations

CARD = {
    "name": "goft",
    "title": "GOFT",
    "paper": "Ma et al., Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024",
    "url": "https://arxiv.org/abs/2404.04316",
    "year": 2024,
    "code": "https://github.com/ArthurLeoM/peft-givens",
    "version": 1,
    "count": "sum of (d - 1) over the targeted layers, d their inputs",
    "starts_at_identity": True,
    "differs": [
        "the angle is pi tanh(t), as in the official code",
        "no scale; the official code trains one by default",
    ],
    "tuned": {"lr": [3e-4, 1e-1]},
}


class Goft(Rotating):
    """Train one angle per pair of inputs."""

    def starts(self, size: int) -> dict[str, Tensor]:
        return {"angles": torch.zeros(size - 1)}

    def levels(self, own: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return products(rotations(math.pi * own["angles"].tanh()))


METHOD = Goft
