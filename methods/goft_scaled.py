"""GOFT*: GOFT after a trained scale of each input, the paper's adjustment of norms.

Paper: Ma, Chu, Yang, Lin, Gao, Zhao, Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024,
       https://arxiv.org/abs/2404.04316
Code: https://github.com/ArthurLeoM/peft-givens
Maths: y = W R^T x + b, R (d x d) = P_L ... P_2 P_1 diag(g), L = ceil(log2 d); P_r turns the pairs (2sk, 2sk + s),
       s = 2^(r-1), each by [[cos, -sin], [sin, cos]] of its angle pi tanh(t); P_L^T acts on x first and the scale last
Count: sum of (2d - 1) over the targeted layers, d their inputs
Starts at identity: yes, t = 0 and g = 1.
Differs from the paper: the angle is pi tanh(t), as in the official code, where this form is the default. The paper
calls it angle-preserving; but g scales the columns of W, which changes the angles between its rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from methods.parts.givens import Rotating, products, rotations

CARD = {
    "name": "goft_scaled",
    "title": "GOFT*",
    "paper": "Ma et al., Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024",
    "url": "https://arxiv.org/abs/2404.04316",
    "year": 2024,
    "code": "https://github.com/ArthurLeoM/peft-givens",
    "version": 1,
    "count": "sum of (2d - 1) over the targeted layers, d their inputs",
    "starts_at_identity": True,
    "differs": ["the angle is pi tanh(t), as in the official code"],
    "tuned": {"lr": [3e-4, 1e-1]},
}


class GoftScaled(Rotating):
    """Train one angle per pair of inputs and one scale per input."""

    def starts(self, size: int) -> dict[str, Tensor]:
        return {"angles": torch.zeros(size - 1), "scale": torch.ones(size)}

    def levels(self, own: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return products(rotations(math.pi * own["angles"].tanh()), own["scale"])


METHOD = GoftScaled
