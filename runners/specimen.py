"""Specimen: one method on one backbone with a few fixed rows, on which a method is checked and timed without a task.

Rows are random tokens, or random pixels for a backbone that sees, with two labels; they come from a seed and mean
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import registry
from harness.backbone import Backbone, load_model, load_tokenizer, locate, train_mode
from harness.method import Method, MethodCard, Plan
from harness.random import Streams
from harness.spec import Budget
from harness.targets import resolve
from runners.score import autocast

T = TypeVar("T")
Batch = dict[str, Tensor]
STEPS, EPOCHS = 10, 2
"""What the plan of a specimen says of the training to come."""


@dataclass
class Specimen:
    """A method, started on a backbone."""

    method: Method
    backbone: Backbone
    plan: Plan
    batch: Batch
    """``input_ids`` and ``attention_mask`` (rows, length), or ``pixel_values`` (rows, 3, side, side); ``labels``."""
    dtype: torch.dtype = torch.float32
    steps: int = field(default=0, init=False)

    def tensors(self) -> dict[str, Tensor]:
        """Return a copy of every parameter of the model."""
        return {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}

    @property
    def model(self) -> nn.Module:
        """Return the model with its head."""
        return self.backbone.model

    def logits(self, batch: Batch | None = None) -> Tensor:
        """Return the logits (rows, 2) in fp32, with gradients, in the mode that the model is in."""
        inputs = {key: tensor for key, tensor in (batch or self.batch).items() if key != "labels"}
        with autocast(next(self.model.parameters()).device, self.dtype):
            logits: Tensor = self.model(**inputs).logits
        return logits.float()

    @torch.no_grad()
    def outputs(self) -> Tensor:
        """Return the logits (rows, 2) in evaluation mode."""
        self.model.eval()
        return self.logits()

    def train(self, steps: int, lr: float = 3e-3) -> list[float]:
        """Take some steps of AdamW with the hooks of the training loop; return the loss before each."""
        if not self.method.updated():
            return []
        optimizer = torch.optim.AdamW(self.method.parameter_groups(), lr=lr, weight_decay=0.0)
        train_mode(self.model)
        torch.manual_seed(0)
        return [self.step(optimizer).item() for _ in range(steps)]

    def step(self, optimizer: torch.optim.Optimizer) -> Tensor:
        """Take one step as the training loop does; return the loss before it."""
        loss = functional.cross_entropy(self.logits(), self.batch["labels"])
        loss.backward()  # type: ignore[no-untyped-call]
        extra = self.method.extra_loss()
        if extra is not None:
            extra.backward()  # type: ignore[no-untyped-call]
        self.method.after_backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.method.after_step(self.steps)
        return loss.detach()

    def detach(self) -> None:
        """Take the method off again."""
        self.method.detach(self.model, self.backbone.pristine)
        self.model.eval()


@dataclass(frozen=True)
class SpecimenSamples:
    """The specimen's rows as methods see them whose choice needs data; see ``harness.method.Samples``."""

    specimen: Specimen

    def __len__(self) -> int:
        return len(self.specimen.batch["labels"])

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return ``compute()``: nothing is kept between specimens."""
        return compute()

    def batches(self, count: int, size: int = 1) -> Iterator[Batch]:
        """Yield the first ``count`` rows in order."""
        for start in range(0, min(count, len(self)), size):
            yield {key: tensor[start : min(start + size, count)] for key, tensor in self.specimen.batch.items()}

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy."""
        return functional.cross_entropy(self.specimen.logits(batch), batch["labels"])

    def log_likelihoods(self, batch: Batch) -> Tensor:
        """Return the log-probabilities (rows, 2)."""
        return functional.log_softmax(self.specimen.logits(batch), dim=-1)


def load(reference: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Backbone:
    """Return a backbone with a head for two labels, in evaluation mode."""
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    files = locate(reference)
    sees = files.kind == "vision"
    model, head = load_model(
        files, AutoModelForImageClassification if sees else AutoModelForSequenceClassification, num_labels=2
    )
    tokenizer: Any = None if sees else load_tokenizer(files)  # Any: see Backbone
    if tokenizer is not None and tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer is not None:
        model.config.pad_token_id = tokenizer.pad_token_id  # type: ignore[union-attr]  # decoders find the last token
    loaded = Backbone(files, model, head, tokenizer)
    loaded.place(device, dtype)
    model.eval()
    return loaded


def plan(backbone: Backbone, targets: str | tuple[str, ...], budget: int | None = None) -> Plan:
    """Return a plan of ``STEPS`` steps for a backbone."""
    resolved = resolve(backbone.model, targets, backbone.head)
    return Plan(resolved, backbone.head, backbone.num_parameters, budget, STEPS, EPOCHS, batch_size=4)


def start(
    name: str,
    backbone: Backbone,
    *,
    seed: int = 0,
    targets: str | tuple[str, ...] = "linear",
    budget: Budget | None = None,
    rows: int = 4,
    length: int = 24,
    values: dict[str, Any] | None = None,  # Any: the method's own values
) -> Specimen:
    """Start a method on a backbone with ``rows`` rows of ``length`` tokens and calibrate it on them.

    A method whose card fixes its targets gets those.

    Raises:
        NotApplicable: where the method makes no sense there.
    """
    kind = registry.load_method(name)
    pinned = MethodCard.model_validate(registry.methods()[name].card).targets
    planned = plan(backbone, pinned or targets, budget.scalars(backbone.num_parameters) if budget else None)
    method = kind(kind.Config.model_validate(values or {}))
    if planned.budget is not None:
        method = kind(method.solve(backbone.model, planned))
    backbone.initialise_head(Streams(seed).integer("init", "head"))
    method.start(backbone.model, planned, Streams(seed))
    device = next(backbone.model.parameters()).device
    matrix = [p.dtype for p in backbone.pristine.values() if p.dim() > 1]
    dtype = torch.bfloat16 if torch.bfloat16 in matrix else torch.float32
    specimen = Specimen(method, backbone, planned, _batch(backbone, rows, length, device), dtype)
    method.calibrate(backbone.model, SpecimenSamples(specimen))
    return specimen


def _batch(backbone: Backbone, rows: int, length: int, device: torch.device) -> Batch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % 4 != 2  # lopsided: a head alone can lower the loss
    batch = {"labels": labels.long()}
    config: Any = backbone.model.config  # Any: transformers' configurations
    if backbone.tokenizer is None:
        side = getattr(config, "image_size", 32)
        batch["pixel_values"] = torch.randn(rows, 3, side, side, generator=generator)
    else:
        tokens = torch.randint(5, min(200, config.vocab_size), (rows, length), generator=generator)
        batch |= {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        for row in range(1, rows, 2):  # every other row is padded
            batch["input_ids"][row, -length // 4 :] = backbone.tokenizer.pad_token_id
            batch["attention_mask"][row, -length // 4 :] = 0
    return {key: tensor.to(device) for key, tensor in batch.items()}
