"""Methods on tiny backbones, for the tests: attach one, take steps, look at what moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness import registry
from harness.backbone import Backbone, locate
from harness.method import Method, MethodCard, Plan
from harness.protocol import load_protocol
from harness.random import Streams
from harness.targets import resolve

TASK = "embedded/agreement"
TEXTS = ("the cats sleep", "a dog that bites the cats run", "no", "the man near the trees laughs")
LABELS = torch.tensor([1, 1, 0, 1])  # lopsided: a head alone can lower the loss


@dataclass
class Attached:
    """A method on a backbone, started."""

    method: Method
    backbone: Backbone
    plan: Plan

    @property
    def model(self) -> nn.Module:
        return self.backbone.model

    def batch(self) -> dict[str, Tensor]:
        return dict(self.backbone.tokenizer(list(TEXTS), padding=True, return_tensors="pt"))

    def autocast(self) -> torch.autocast:
        bf16 = any(p.dtype == torch.bfloat16 for p in self.backbone.pristine.values())
        return torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    @torch.no_grad()
    def outputs(self) -> Tensor:
        self.model.eval()
        with self.autocast():
            logits: Tensor = self.model(**self.batch()).logits
        return logits.float()

    def train(self, steps: int, lr: float = 3e-3) -> list[float]:
        """Take some steps of AdamW, as the training loop does; return the losses."""
        if not self.method.updated():
            return []
        optimizer = torch.optim.AdamW(self.method.parameter_groups(), lr=lr, weight_decay=0.0)
        self.model.train()
        torch.manual_seed(0)
        losses = []
        for step in range(1, steps + 1):
            with self.autocast():
                loss = nn.functional.cross_entropy(self.model(**self.batch()).logits.float(), LABELS)
            loss.backward()  # type: ignore[no-untyped-call]
            self.method.after_backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            self.method.after_step(step)
            losses.append(loss.item())
        return losses

    def tensors(self) -> dict[str, Tensor]:
        """Return a copy of every parameter of the model."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def detach(self) -> None:
        self.method.detach(self.model, self.backbone.pristine)
        self.model.eval()


def backbone(architecture: str, dtype: torch.dtype = torch.float32) -> Backbone:
    """Return a tiny backbone with a head for two classes."""
    loaded = load_protocol("classify").load(locate(f"tiny:{architecture}"), registry.load_task(TASK).card)
    loaded.place("cpu", dtype)
    loaded.model.eval()
    return loaded


def targets_of(name: str) -> str:
    return MethodCard.model_validate(registry.methods()[name].card).targets or "linear"


def planned(loaded: Backbone, targets: str, budget: int | None = None) -> Plan:
    return Plan(resolve(loaded.model, targets, loaded.head), loaded.head, loaded.num_parameters, budget, 10, 2, 4)


def attach(name: str, loaded: Backbone, *, seed: int = 0, targets: str | None = None, **values: Any) -> Attached:
    """Start a method; one that takes a budget and is given no values gets a tenth of N."""
    kind = registry.load_method(name)
    method = kind(kind.Config.model_validate(values))
    solves = registry.methods()[name].card.get("budget")
    plan = planned(loaded, targets or targets_of(name), loaded.num_parameters // 10 if solves and not values else None)
    if plan.budget:
        method = kind(method.solve(loaded.model, plan))
    loaded.initialise_head(Streams(seed).integer("init", "head"))
    method.start(loaded.model, plan, Streams(seed))
    return Attached(method, loaded, plan)
