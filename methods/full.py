"""Full fine-tuning: every scalar of the backbone is trained.

Paper: Devlin et al., BERT, 2019, https://arxiv.org/abs/1810.04805    Code: none
Maths: theta <- theta - eta * u(dL/dtheta) for all of theta    Count: N, tied weights once
Starts at identity: yes, no structure is added.
"""

from __future__ import annotations

from torch import nn

from harness.method import Method, Plan
from harness.random import Streams

CARD = {
    "name": "full",
    "title": "Full fine-tuning",
    "paper": "Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019",
    "url": "https://arxiv.org/abs/1810.04805",
    "year": 2019,
    "code": None,
    "version": 1,
    "count": "N",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {"lr": [1e-5, 1e-3]},
    "targets": "all",
}


class Full(Method):
    """Train all targeted tensors whole; the card fixes the targets to all."""

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self.train_dense(plan.targets.tensors)

    def count(self, model: nn.Module, plan: Plan) -> int:
        return plan.total


METHOD = Full
