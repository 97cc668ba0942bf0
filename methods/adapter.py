"""Adapter: a small bottleneck after each layer that writes to the residual stream.

Paper: Houlsby et al., Parameter-Efficient Transfer Learning for NLP, ICML 2019, https://arxiv.org/abs/1902.00751
Code: https://github.com/google-research/adapter-bert
Maths: h <- h + U relu(D h + a) + b, h (E) a targeted layer's output, D (r x E) Kaiming uniform, U (E x r), a, b zero
Count: sum(2 r E + r + E) over the targeted layers that write to the residual stream
Starts at identity: yes, U = 0 and b = 0.
Differs from the paper: U starts at zero instead of near it, and ReLU is the nonlinearity, as the random-masking paper's
comparison has it; layer norms stay frozen. Of the targeted layers, those get an adapter that write to the residual
stream: the attention's output projection and the MLP's, before dropout and the residual sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from harness.targets import weight_shape
from methods.parts.patching import Patches

CARD = {
    "name": "adapter",
    "title": "Bottleneck adapter",
    "paper": "Houlsby et al., Parameter-Efficient Transfer Learning for NLP, 2019",
    "url": "https://arxiv.org/abs/1902.00751",
    "year": 2019,
    "code": "https://github.com/google-research/adapter-bert",
    "version": 1,
    "count": "sum(2 r E + r + E) over the targeted layers that write to the residual stream",
    "starts_at_identity": True,
    "differs": ["the up projection starts at zero", "ReLU", "layer norms stay frozen"],
    "tuned": {"lr": [1e-4, 1e-2]},
    "budget": "rank",
}
WRITES = frozenset({"out_proj", "o_proj", "c_proj", "fc2", "down_proj", "out_lin", "lin2"})
"""Last names of layers whose output goes into the residual stream; BERT and its kin name theirs ``output.dense``."""


class AdapterConfig(Config):
    """The size of the bottleneck."""

    rank: int = Field(default=8, ge=1, description="width of the bottleneck")


class Adapter(Method):
    """Add a bottleneck to the output of each targeted layer that writes to the residual stream; it does not merge."""

    Config = AdapterConfig
    config: AdapterConfig

    def solve(self, model: nn.Module, plan: Plan) -> AdapterConfig:
        """Take the largest rank within the budget: floor rank 1, ceiling the smallest layer's width."""
        assert plan.budget is not None
        widths = _widths(plan)
        smallest, largest = _size(1, widths), _size(min(widths), widths)
        if plan.budget < smallest:
            raise NotApplicable(f"smallest is {smallest} (rank 1 on targets {plan.targets.name})")
        if plan.budget > largest:
            raise NotApplicable(f"largest is {largest} (rank {min(widths)} on targets {plan.targets.name})")
        rank = (plan.budget - sum(widths)) // sum(2 * width + 1 for width in widths)
        return self.config.model_copy(update={"rank": rank})

    def count(self, model: nn.Module, plan: Plan) -> int:
        widths = _widths(plan)
        if self.config.rank > min(widths):
            raise NotApplicable(f"rank {self.config.rank} is over {min(widths)}, the width of a targeted layer")
        return _size(self.config.rank, widths)

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self.count(model, plan)  # refuses what cannot be
        self._patches = Patches()
        self._own: dict[str, nn.Parameter] = {}
        for name, layer in _writers(plan).items():
            width, device = weight_shape(layer)[0], next(layer.parameters()).device
            generator = torch.Generator().manual_seed(streams.integer("init", name))
            down = torch.empty(self.config.rank, width)
            nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
            starts = {
                "down": down,
                "down_bias": torch.zeros(self.config.rank),
                "up": torch.zeros(width, self.config.rank),
                "up_bias": torch.zeros(width),
            }
            own = {part: nn.Parameter(start.to(device)) for part, start in starts.items()}
            self._own |= {f"{name}.adapter_{part}": parameter for part, parameter in own.items()}
            self._patches.patch(layer, _forward(own))

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return self._own

    def extra_at_inference(self) -> int:
        return sum(parameter.numel() for parameter in self._own.values())

    def merge(self, model: nn.Module) -> None:
        raise NotApplicable("adapter has a nonlinearity, which no weight of the backbone can take up")

    def remove(self, model: nn.Module) -> None:
        self._patches.remove()


def _forward(own: dict[str, nn.Parameter]) -> Callable[[nn.Module, Tensor], Tensor]:
    def forward(module: nn.Module, inputs: Tensor) -> Tensor:
        outputs: Tensor = type(module).forward(module, inputs)  # (.., E)
        narrow = functional.relu(functional.linear(outputs, own["down"], own["down_bias"]))  # (.., r)
        return outputs + functional.linear(narrow, own["up"], own["up_bias"]).to(outputs.dtype)

    return forward


def _writers(plan: Plan) -> dict[str, nn.Module]:
    chosen = {name: module for name, module in plan.targets.modules.items() if _writes(name)}
    if not chosen:
        raise NotApplicable(
            f"adapter stands after layers that write to the residual stream; targets {plan.targets.name!r} names none, "
            f"take attention, mlp or linear"
        )
    return chosen


def _writes(name: str) -> bool:
    return name.rpartition(".")[2] in WRITES or name.endswith("output.dense")


def _widths(plan: Plan) -> list[int]:
    return [weight_shape(module)[0] for module in _writers(plan).values()]


def _size(rank: int, widths: list[int]) -> int:
    return sum(2 * rank * width + rank + width for width in widths)


METHOD = Adapter
