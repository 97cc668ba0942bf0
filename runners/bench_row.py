"""Bench row: one line of the benchmark, started on a backbone so that its step can be taken again and again.

A method's step is the training loop's: forward, loss and penalty, backward, its hooks, one fused AdamW step, with the
head trained as the method trains it; gradient clipping and what happens once per epoch are left out. The two rows that
are no methods, ``limit`` and ``dense_weight_gradient``, form gradients and drop them, with no optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pydantic import JsonValue
from torch import nn
from torch.nn import functional

from harness.backbone import Backbone, train_mode
from harness.errors import NotApplicable
from harness.spec import Budget, Values
from runners import specimen
from runners.specimen import Specimen

LIMIT, DENSE = "limit", "dense_weight_gradient"
LEARNING_RATE = 1e-4

Step = Callable[[], object]


class Setting(Values):
    """What all rows share."""

    reference: str
    batch: int
    length: int
    device: str = "cpu"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 1

    def load(self) -> Backbone:
        """Return the backbone; its frozen weights are bf16 on a GPU and fp32 elsewhere unless ``dtype`` says."""
        return specimen.load(self.reference, torch.bfloat16 if self.half else torch.float32, self.device)

    def facts(self) -> dict[str, JsonValue]:
        """Return what a reader of the figures has to know, with the type of the frozen weights that ``auto`` became."""
        return {
            "backbone": self.reference,
            "batch": self.batch,
            "length": self.length,
            "device": self.device,
            "dtype": "bfloat16" if self.half else "float32",
            "threads": self.threads,
            "optimizer": "adamw",
            "lr": LEARNING_RATE,
        }

    @property
    def half(self) -> bool:
        """Return whether the frozen weights are bf16."""
        return self.dtype == "bfloat16" or (self.dtype == "auto" and self.device.startswith("cuda"))


class Row(Values):
    """A method, ``limit`` or ``dense_weight_gradient``."""

    method: str
    targets: str
    budget: Budget | None = None

    def __str__(self) -> str:
        return f"{self.method} on {self.targets}{f' at {self.budget}' if self.budget else ''}"


def begin(row: Row, backbone: Backbone, setting: Setting) -> tuple[Specimen, Step]:
    """Start a row on a backbone; return it, and the step to take.

    Raises:
        NotApplicable: where the method makes no sense there or trains nothing.
    """
    size = {"rows": setting.batch, "length": setting.length}
    if row.method in (LIMIT, DENSE):
        started = specimen.start("base", backbone, **size)  # type: ignore[arg-type]  # mypy takes them for any argument
        if row.method == LIMIT:
            _reach_the_input(started)
        else:
            for parameter in specimen.plan(backbone, row.targets).targets.tensors.values():
                parameter.requires_grad_(True)
        train_mode(started.model)
        return started, lambda: _gradients(started)
    started = specimen.start(row.method, backbone, targets=row.targets, budget=row.budget, **size)  # type: ignore[arg-type]
    if not started.method.updated():
        raise NotApplicable(f"{row.method} trains nothing, so it takes no step")
    groups = started.method.parameter_groups()
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    train_mode(started.model)
    return started, lambda: started.step(optimizer)


@contextmanager
def conditions(setting: Setting) -> Iterator[None]:
    """Compute as real runs do (threads, determinism), and leave this process as it was."""
    memory: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.set_num_threads(setting.threads)
    torch.use_deterministic_algorithms(not setting.device.startswith("cuda"))
    memory.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of dropout
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = before[2]


def _reach_the_input(started: Specimen) -> None:
    """Let gradients flow back to where the blocks begin, although nothing on the way is trained."""
    if "pixel_values" in started.batch:
        started.batch["pixel_values"].requires_grad_(True)
        return
    embeddings: nn.Module = started.model.get_input_embeddings()  # type: ignore[operator]  # of every text model
    embeddings.register_forward_hook(lambda module, inputs, output: output.requires_grad_(True))


def _gradients(started: Specimen) -> None:
    """Form the gradients of one batch and drop them."""
    loss = functional.cross_entropy(started.logits(), started.batch["labels"])
    loss.backward()  # type: ignore[no-untyped-call]
    for tensor in (*started.model.parameters(), *started.batch.values()):
        tensor.grad = None
