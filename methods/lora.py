"""LoRA: a low-rank update beside each targeted weight, through the peft library.

Paper: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022, https://arxiv.org/abs/2106.09685
Code: https://github.com/microsoft/LoRA
Maths: y = W x + b + (alpha / r) B A dropout(x), A (r x n) Kaiming uniform, B (m x r) zero
Count: r * sum(m + n) over the targeted weights
Starts at identity: yes, B = 0.
Differs from the paper: nothing; A is drawn from the run's own stream.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from pydantic import Field
from torch import nn

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from harness.targets import weight_shape

CARD = {
    "name": "lora",
    "title": "LoRA",
    "paper": "Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022",
    "url": "https://arxiv.org/abs/2106.09685",
    "year": 2022,
    "code": "https://github.com/microsoft/LoRA",
    "version": 1,
    "count": "r * sum(m + n) over the targeted weights",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {"lr": [1e-4, 1e-2]},
    "needs": ["peft"],
    "budget": "rank",
}
ADAPTER = "paretune"


class LoraConfig(Config):
    """The values of the paper's equation 3."""

    rank: int = Field(default=8, ge=1)
    alpha: float | None = Field(default=None, gt=0, description="scale is alpha / rank; null takes twice the rank")
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Lora(Method):
    """Low-rank adapters injected by peft, whose parameters the optimiser updates in fp32."""

    Config = LoraConfig
    config: LoraConfig

    def solve(self, model: nn.Module, plan: Plan) -> LoraConfig:
        """Take the largest rank within the budget: floor rank 1, ceiling the smallest side of a targeted weight."""
        assert plan.budget is not None
        if not plan.targets.modules:
            raise NotApplicable(f"lora adapts linear layers; targets {plan.targets.name!r} names none")
        per_rank = _sides(plan)
        rank = min(plan.budget // per_rank, _largest_rank(plan))
        if rank < 1:
            raise NotApplicable(f"smallest is {per_rank} (rank 1 on targets {plan.targets.name})")
        ceiling = per_rank * _largest_rank(plan)
        if plan.budget > ceiling:
            raise NotApplicable(f"largest is {ceiling} (rank {_largest_rank(plan)} on targets {plan.targets.name})")
        return self.config.model_copy(update={"rank": rank})

    def count(self, model: nn.Module, plan: Plan) -> int:
        if not plan.targets.modules:
            raise NotApplicable(f"lora adapts linear layers; targets {plan.targets.name!r} names none")
        if self.config.rank > _largest_rank(plan):
            raise NotApplicable(
                f"rank {self.config.rank} is over {_largest_rank(plan)}, the smallest side of a targeted weight"
            )
        return self.config.rank * _sides(plan)

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        import peft

        self.count(model, plan)  # refuses what cannot be
        config = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=cast(int, self.config.alpha or 2 * self.config.rank),  # peft takes fractions as well
            lora_dropout=self.config.dropout,
            target_modules=list(plan.targets.modules),
            fan_in_fan_out=any(not isinstance(module, nn.Linear) for module in plan.targets.modules.values()),
        )
        with torch.random.fork_rng(devices=[]):
            peft.inject_adapter_in_model(config, model, adapter_name=ADAPTER)
        self._layers = {name: model.get_submodule(name) for name in plan.targets.modules}
        self._own: dict[str, nn.Parameter] = {}
        for name, layer in self._layers.items():
            down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight  # type: ignore[union-attr,index]
            generator = torch.Generator().manual_seed(streams.integer("init", name))
            drawn = nn.init.kaiming_uniform_(torch.empty(down.shape), a=math.sqrt(5), generator=generator)
            for parameter, start in ((down, drawn), (up, torch.zeros(up.shape))):
                parameter.data = start.to(parameter.device)
                parameter.requires_grad_(True)
            self._own |= {f"{name}.lora_A": down, f"{name}.lora_B": up}

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return self._own

    def merge(self, model: nn.Module) -> None:
        for layer in self._layers.values():
            layer.merge()  # type: ignore[operator]  # a module's attributes are typed as tensor or module
        self.remove(model)

    def remove(self, model: nn.Module) -> None:
        for name, layer in self._layers.items():
            parent, _, child = name.rpartition(".")
            plain: Any = layer.base_layer  # Any: as above
            setattr(model.get_submodule(parent), child, plain)
        self._layers = {}
        if hasattr(model, "peft_config"):  # peft would take a later injection for a second adapter
            del model.peft_config


def _sides(plan: Plan) -> int:
    return sum(sum(weight_shape(module)) for module in plan.targets.modules.values())


def _largest_rank(plan: Plan) -> int:
    return min((min(weight_shape(module)) for module in plan.targets.modules.values()), default=0)


METHOD = Lora
