"""BitFit: only the biases of the backbone are trained.

Paper: Ben Zaken, Ravfogel, Goldberg, BitFit, ACL 2022, https://arxiv.org/abs/2106.10199
Code: https://github.com/benzakenelad/BitFit
Maths: y = W x + b, only b moves; also the shifts of the layer norms    Count: the number of bias scalars
Starts at identity: yes, no structure is added.
"""

from __future__ import annotations

from torch import nn

from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.random import Streams

CARD = {
    "name": "bitfit",
    "title": "BitFit (biases only)",
    "paper": "Ben Zaken et al., BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked LMs, 2022",
    "url": "https://arxiv.org/abs/2106.10199",
    "year": 2022,
    "code": "https://github.com/benzakenelad/BitFit",
    "version": 1,
    "count": "sum of the sizes of all parameters named bias",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {"lr": [1e-4, 1e-2]},
    "targets": "all",
}


class Bitfit(Method):
    """Train every bias outside the head, those of the layer norms included."""

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self.train_dense(_biases(model, plan))

    def count(self, model: nn.Module, plan: Plan) -> int:
        return sum(parameter.numel() for parameter in _biases(model, plan).values())


def _biases(model: nn.Module, plan: Plan) -> dict[str, nn.Parameter]:
    biases = {name: p for name, p in plan.targets.tensors.items() if name.rpartition(".")[2] == "bias"}
    if not biases:
        raise NotApplicable(f"{type(model).__name__} has no biases outside its head; bitfit needs some")
    return biases


METHOD = Bitfit
