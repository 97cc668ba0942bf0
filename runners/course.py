"""The course of a training: what changes from step to step beside the trained part, so that it can go on after a kill.

The optimiser and its schedule, the place in the epoch's order, the best state so far, and the speed of the steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness.method import Method
from harness.record import EpochMetrics
from harness.spec import Training
from runners.savepoint import random_states, restore_random_states

WARM_SHARE = 0.1
"""Share of the steps left out of the measured speed."""


@dataclass
class Fitted:
    """What training gave."""

    state: dict[str, Tensor]
    """The best selectable state: the trained part only, head included."""
    best_epoch: int | None = None
    validation: list[EpochMetrics] = field(default_factory=list)
    steps: int = 0
    train_seconds: float = 0.0
    validate_seconds: float = 0.0
    items_per_second: float | None = None
    tokens_per_second: float | None = None
    parts: int = 1
    """Equal parts that a batch went through the model in at the end: more than asked for where memory ran out."""


class Pace:
    """Speed of the steps after warm-up, with the time of validation left out."""

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps
        self._skip = int(total_steps * WARM_SHARE)
        self._items = self._tokens = self._steps = 0
        self._seconds = 0.0
        self._last = time.perf_counter()

    def resume(self) -> None:
        """Begin to count from now: what went on meanwhile was no step."""
        self._last = time.perf_counter()

    def count(self, items: int, tokens: int) -> None:
        """Count one step of so many rows and tokens, padding left out."""
        now = time.perf_counter()
        self._steps += 1
        if self._steps > self._skip:
            self._items, self._tokens, self._seconds = (
                self._items + items,
                self._tokens + tokens,
                self._seconds + now - self._last,
            )
        self._last = now

    def speeds(self) -> tuple[float | None, float | None]:
        """Return rows and tokens per second; none of either where no step came after warm-up."""
        if not self._seconds:
            return None, None
        return self._items / self._seconds, self._tokens / self._seconds


@dataclass
class Course:
    """A training on its way: what changes from step to step beside the trained part."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    fitted: Fitted
    pace: Pace
    best: tuple[float, float] = (-math.inf, -math.inf)
    epoch: int = 1
    losses: list[Tensor] = field(default_factory=list)
    """Of this epoch's steps so far: their number is the place in the epoch's order."""

    def next_epoch(self) -> None:
        """Go on to the next epoch's first step."""
        self.epoch, self.losses = self.epoch + 1, []
        self.pace.resume()

    def state(self) -> dict[str, Any]:  # Any: see runners.savepoint
        """Return what a savepoint holds beside the trained part."""
        validation = [epoch.model_dump(mode="json") for epoch in self.fitted.validation]
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "fitted": vars(self.fitted) | {"validation": validation},
            "pace": vars(self.pace),
            "best": self.best,
            "epoch": self.epoch,
            "losses": torch.stack(self.losses),
            "random": random_states(),
        }

    def load(self, saved: Mapping[str, Any], device: torch.device) -> None:  # Any: as above
        """Go on from a savepoint."""
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        fitted = dict(saved["fitted"])
        fitted["validation"] = [EpochMetrics.model_validate(epoch) for epoch in fitted["validation"]]
        fitted["state"] = {name: tensor.to(device) for name, tensor in fitted["state"].items()}
        vars(self.fitted).update(fitted)
        vars(self.pace).update(saved["pace"])
        self.pace.resume()
        self.best, self.epoch = tuple(saved["best"]), saved["epoch"]
        self.losses = list(saved["losses"].to(device).unbind())
        restore_random_states(saved["random"])


def carry(
    optimizer: torch.optim.Optimizer, updated: Mapping[str, nn.Parameter], exchanged: Mapping[str, Tensor]
) -> None:
    """Carry the optimiser's state along where trained scalars were exchanged; new ones have zero moments.

    They are at their tensor's step count, as in a dense optimiser whose gradient was masked before: AdamW no longer
    corrects for the short memory, so their first steps are some times longer than those of a fresh optimiser.

    Args:
        optimizer: what trains the parameters.
        updated: the trained parameters by name, in their new shapes.
        exchanged: name to each scalar's flat position before, -1 for a new one (see ``Method.before_epoch``).
    """
    for name, before in exchanged.items():
        state = optimizer.state[updated[name]]
        for key, tensor in state.items():
            if isinstance(tensor, Tensor) and tensor.dim():  # a step count has no dimension and counts on
                kept = tensor.new_zeros(before.shape)
                kept[before >= 0] = tensor.reshape(-1)[before[before >= 0]]
                state[key] = kept


def optimizer_of(method: Method, training: Training) -> torch.optim.Optimizer:
    """Return what trains a method's parameters."""
    groups = method.parameter_groups()
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.lr, momentum=0.9, weight_decay=training.weight_decay)
    # One fused kernel: a quarter of the time of the other forms for full fine-tuning on a CPU (DECISIONS.md).
    return torch.optim.AdamW(groups, lr=training.lr, weight_decay=training.weight_decay, fused=True)


def schedule_of(
    optimizer: torch.optim.Optimizer, training: Training, total_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of the learning rate: warm-up, then as it is named."""
    from transformers import get_scheduler

    # The rate of the first warm-up step is 0; a run of one step would train nothing.
    warmup = min(math.ceil(training.warmup * total_steps), total_steps - 1)
    name = "constant_with_warmup" if training.schedule == "constant" else training.schedule
    schedule: torch.optim.lr_scheduler.LRScheduler = get_scheduler(
        name, optimizer, num_warmup_steps=warmup, num_training_steps=total_steps
    )
    return schedule
