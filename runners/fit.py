"""Fit: the only training loop. It never asks which method or task it trains."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.backbone import train_mode
from harness.errors import Diverged
from harness.method import Method, Samples
from harness.protocol import Examples, Protocol
from harness.random import Streams
from harness.record import EpochMetrics
from harness.spec import Training
from runners.score import Evaluator, measure

SORTED_BATCHES = 50
"""Batches are filled with rows of like length within this many batches of the shuffled order."""
LOSS_CHECK = 8
"""Steps between looks at the loss; each look waits for a GPU to catch up."""
WARM_SHARE = 0.1
"""Share of the steps left out of the measured speed."""

Report = Callable[[Mapping[str, Any]], None]  # Any: events are JSON


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


@dataclass(frozen=True)
class Trainer:
    """One run's training: what is trained, on what, with which values."""

    model: nn.Module
    method: Method
    protocol: Protocol
    evaluator: Evaluator
    training: Training
    streams: Streams
    report: Report = lambda event: None

    def fit(self, train: Examples, validation: Examples | None) -> Fitted:
        """Train, validate after each epoch, and leave the model in its best selectable state.

        Without validation rows that is its last one.

        Raises:
            Diverged: if the loss becomes NaN or infinite.
        """
        if not self.method.updated():
            return self._untrained(validation) if validation is not None else Fitted(state={})
        total_steps = self.training.epochs * math.ceil(len(train) / self.training.batch_size)
        optimizer = _optimizer(self.method, self.training)
        schedule = _schedule(optimizer, self.training, total_steps)
        torch.manual_seed(self.streams.integer("dropout"))
        fitted, best, pace = Fitted(state={}), (-math.inf, -math.inf), _Pace(total_steps)
        train_mode(self.model)
        for epoch in range(1, self.training.epochs + 1):
            started = time.perf_counter()
            exchanged = self.method.before_epoch(epoch)
            if exchanged:
                carry(optimizer, self.method.updated(), exchanged)
            seen, losses = self.protocol.for_epoch(train, self.streams, epoch), list[Tensor]()
            for rows in training_batches(train.lengths, self.training.batch_size, self.streams, epoch):
                losses.append(self._step(optimizer, seen, rows))
                schedule.step()
                fitted.steps += 1
                self.method.after_step(fitted.steps)
                pace.count(len(rows), int(train.lengths[rows].sum()))
                if len(losses) % LOSS_CHECK == 0:
                    self._check(losses[-LOSS_CHECK:], fitted.steps, total_steps, epoch)
            mean = self._check(losses, fitted.steps, total_steps, epoch)
            fitted.train_seconds += time.perf_counter() - started
            if validation is None:
                fitted.best_epoch, fitted.state = epoch, self.method.state() if epoch == self.training.epochs else {}
            else:
                outcome = self._validate(validation, epoch, mean, fitted)
                rank = self._rank(outcome)
                if outcome.selectable and (fitted.best_epoch is None or rank > best):
                    best, fitted.best_epoch, fitted.state = rank, epoch, self.method.state()
            pace.resume()
        if fitted.best_epoch is None:
            raise ValueError(f"{type(self.method).__name__} lets no epoch's state be chosen; allow at least the last")
        self.method.load_state(fitted.state)
        fitted.items_per_second, fitted.tokens_per_second = pace.speeds()
        return fitted

    def samples(self, train: Examples) -> Samples:
        """Return the training rows as methods see them whose choice needs data."""
        return _TrainingSamples(self, train)

    def _step(self, optimizer: torch.optim.Optimizer, train: Examples, rows: NDArray[np.int64]) -> Tensor:
        """Take one optimiser step over ``rows``; return the mean loss, not yet waited for."""
        total = torch.zeros((), device=self.evaluator.device)
        whole = self.protocol.weight(train, rows.tolist())
        for part in np.array_split(rows, min(self.training.accumulation, len(rows))):
            loss = self.loss(self.collate(train, part)) * (self.protocol.weight(train, part.tolist()) / whole)
            total += loss.detach()
            loss.backward()  # type: ignore[no-untyped-call]
        extra = self.method.extra_loss()
        if extra is not None:
            extra.backward()  # type: ignore[no-untyped-call]
        self.method.after_backward()
        if self.training.clip is not None:
            nn.utils.clip_grad_norm_(self.method.updated().values(), self.training.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    def collate(self, train: Examples, rows: NDArray[np.int64]) -> Any:  # Any: batches are the protocol's own
        """Return the batch of some rows, on the device."""
        return self.protocol.collate(train, rows.tolist(), self.evaluator.tokenizer, self.evaluator.device)

    def loss(self, batch: Any) -> Tensor:  # Any: as above
        """Return the mean loss of a batch."""
        with self.evaluator.autocast():
            return self.protocol.loss(self.model, batch)

    def _check(self, losses: list[Tensor], step: int, total_steps: int, epoch: int) -> float:
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise Diverged(f"the loss became {mean} by step {step} of {total_steps}; lower lr ({self.training.lr:g})")
        self.report({"type": "step", "step": step, "steps": total_steps, "epoch": epoch, "loss": mean})
        return mean

    def _validate(self, validation: Examples, epoch: int, train_loss: float | None, fitted: Fitted) -> EpochMetrics:
        started = time.perf_counter()
        predicted = self.evaluator.predict(self.model, self.protocol, validation, validating=True)
        if predicted.loss is not None and not math.isfinite(predicted.loss):
            raise Diverged(
                f"the validation loss became {predicted.loss} after epoch {epoch}; lower lr ({self.training.lr:g})"
            )
        outcome = EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=predicted.loss,
            metrics=measure(self.protocol.card, predicted.values, validation.references).metrics,
            selectable=self.method.selectable(fitted.steps),
        )
        fitted.validation.append(outcome)
        fitted.validate_seconds += time.perf_counter() - started
        return outcome

    def _rank(self, outcome: EpochMetrics) -> tuple[float, float]:
        """Return what the best epoch is the largest of: the headline metric, then the smaller loss; or that alone."""
        facts = self.protocol.card.metric
        metric = outcome.metrics[facts.name]
        sign = 1 if facts.higher_is_better else -1
        loss = -math.inf if outcome.validation_loss is None else -outcome.validation_loss
        if self.training.select == "loss":
            return loss, 0.0
        return -math.inf if metric is None else sign * metric, loss

    def _untrained(self, validation: Examples) -> Fitted:
        fitted = Fitted(state={})
        self._validate(validation, 0, None, fitted)
        return fitted


@dataclass(frozen=True)
class _TrainingSamples:
    """See ``harness.method.Samples``; the order is that of the run's seed, so a larger sample holds a smaller one."""

    trainer: Trainer
    rows: Examples

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, count: int, size: int = 1) -> Iterator[Any]:  # Any: batches are the protocol's own
        chosen = self.trainer.streams.permutation(len(self.rows), "calibrate")[:count]
        for start in range(0, len(chosen), size):
            yield self.trainer.collate(self.rows, chosen[start : start + size])

    def loss(self, batch: Any) -> Tensor:
        return self.trainer.loss(batch)

    def log_likelihoods(self, batch: Any) -> Tensor:
        with self.trainer.evaluator.autocast():
            return self.trainer.protocol.log_likelihoods(self.trainer.model, batch)


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, streams: Streams, epoch: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each batch of one epoch: every row once, like lengths together, in an order of the seed's."""
    shuffled = streams.permutation(len(lengths), "order", f"rows/{epoch}")
    batches: list[NDArray[np.int64]] = []
    window = SORTED_BATCHES * batch_size
    for start in range(0, len(shuffled), window):
        rows = shuffled[start : start + window]
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    for index in streams.permutation(len(batches), "order", f"batches/{epoch}"):
        yield batches[index]


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


class _Pace:
    """Speed of the steps after warm-up, with the time of validation left out."""

    def __init__(self, total_steps: int) -> None:
        self._skip = int(total_steps * WARM_SHARE)
        self._items = self._tokens = self._steps = 0
        self._seconds = 0.0
        self._last = time.perf_counter()

    def resume(self) -> None:
        self._last = time.perf_counter()

    def count(self, items: int, tokens: int) -> None:
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
        if not self._seconds:
            return None, None
        return self._items / self._seconds, self._tokens / self._seconds


def _optimizer(method: Method, training: Training) -> torch.optim.Optimizer:
    groups = method.parameter_groups()
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.lr, momentum=0.9, weight_decay=training.weight_decay)
    # One fused kernel: a quarter of the time of the other forms for full fine-tuning on a CPU (DECISIONS.md).
    return torch.optim.AdamW(groups, lr=training.lr, weight_decay=training.weight_decay, fused=True)


def _schedule(
    optimizer: torch.optim.Optimizer, training: Training, total_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    from transformers import get_scheduler

    # The rate of the first warm-up step is 0; a run of one step would train nothing.
    warmup = min(math.ceil(training.warmup * total_steps), total_steps - 1)
    name = "constant_with_warmup" if training.schedule == "constant" else training.schedule
    schedule: torch.optim.lr_scheduler.LRScheduler = get_scheduler(
        name, optimizer, num_warmup_steps=warmup, num_training_steps=total_steps
    )
    return schedule
