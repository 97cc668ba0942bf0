"""qGOFT: GOFT with a free 2x2 block in place of each rotation, kept near orthogonal by a penalty.

Paper: Ma, Chu, Yang, Lin, Gao, Zhao, Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024,
       https://arxiv.org/abs/2404.04316
Code: https://github.com/ArthurLeoM/peft-givens
Maths: y = W R^T x + b, R (d x d) = P_L ... P_2 P_1, L = ceil(log2 d); P_r maps the pairs (2sk, 2sk + s), s = 2^(r-1),
       each by its block [[a1, b1], [a2, b2]]; P_L^T acts on x first. The loss gets lambda * sum (a1 b1 + a2 b2)^2
Count: sum of 4 (d - 1) over the targeted layers, d their inputs
Starts at identity: yes, each block is the identity.
Differs from the paper: nothing; the official code leaves the penalty out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from harness.method import Config
from methods.parts.givens import Rotating, products

CARD = {
    "name": "qgoft",
    "title": "qGOFT",
    "paper": "Ma et al., Parameter Efficient Quasi-Orthogonal Fine-Tuning via Givens Rotation, ICML 2024",
    "url": "https://arxiv.org/abs/2404.04316",
    "year": 2024,
    "code": "https://github.com/ArthurLeoM/peft-givens",
    "version": 1,
    "count": "sum of 4 (d - 1) over the targeted layers, d their inputs",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {"lr": [3e-4, 1e-1]},
}


class QgoftConfig(Config):
    """The paper takes 0.001 to 0.05, by task."""

    penalty: float = Field(default=0.001, ge=0, description="lambda, what non-orthogonal columns of a block cost")


class Qgoft(Rotating):
    """Train a free 2x2 block per pair of inputs."""

    Config = QgoftConfig
    config: QgoftConfig

    def starts(self, size: int) -> dict[str, Tensor]:
        return {"blocks": torch.eye(2).repeat(size - 1, 1, 1)}

    def levels(self, own: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return products(own["blocks"])

    def extra_loss(self) -> Tensor:
        blocks = torch.cat([own["blocks"] for own in self.own.values()])
        return self.config.penalty * (blocks[:, :, 0] * blocks[:, :, 1]).sum(dim=1).square().sum()


METHOD = Qgoft
