"""Fit: the only training loop. It never asks which method or task it trains."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

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
from runners.course import Course, Fitted, Pace, carry, optimizer_of, schedule_of
from runners.memory import exhausted, forget
from runners.ranks import Ranks
from runners.savepoint import Savepoints
from runners.score import Evaluator, measure

SORTED_BATCHES = 50
"""Batches are filled with rows of like length within this many batches of the shuffled order."""
LOSS_CHECK = 8
"""Steps between looks at the loss; each look waits for a GPU to catch up."""

Report = Callable[[Mapping[str, Any]], None]  # Any: events are JSON
T = TypeVar("T")


def _compute(name: str, compute: Callable[[], T]) -> T:
    return compute()


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
    savepoints: Savepoints | None = None
    remember: Callable[[str, Callable[[], Any]], Any] = _compute
    """Computes what only the data, the backbone and the seed decide, or has it still from an earlier run."""
    ranks: Ranks = Ranks()

    def fit(self, train: Examples, validation: Examples | None) -> Fitted:
        """Train, validate after each epoch, and leave the model in its best selectable state.

        Without validation rows that is its last one.

        Raises:
            Diverged: if the loss becomes NaN or infinite.
        """
        if not self.method.updated():
            return self._untrained(validation) if validation is not None else Fitted(state={})
        course = self._begin(len(train))
        fitted = course.fitted
        train_mode(self.model)
        while course.epoch <= self.training.epochs:
            mean = self._epoch(course, train)
            last = course.epoch == self.training.epochs
            if validation is None:
                fitted.best_epoch, fitted.state = course.epoch, self.method.state() if last else {}
            else:
                self._choose(course, self._validate(validation, course.epoch, mean, fitted))
            course.next_epoch()
        if fitted.best_epoch is None:
            raise ValueError(f"{type(self.method).__name__} lets no epoch's state be chosen; allow at least the last")
        self.method.load_state(fitted.state)
        fitted.items_per_second, fitted.tokens_per_second = course.pace.speeds()
        return fitted

    def samples(self, train: Examples) -> Samples:
        """Return the training rows as methods see them whose choice needs data."""
        return _TrainingSamples(self, train)

    def _begin(self, num_rows: int) -> Course:
        """Return a training at its first step, or where its savepoint left it."""
        total_steps = self.training.epochs * math.ceil(num_rows / self.training.batch_size)
        saved = self.savepoints.load() if self.savepoints and self._can_go_on() else None
        if saved is not None:
            self.method.load_state({name: tensor.to(self.evaluator.device) for name, tensor in saved["method"].items()})
        optimizer = optimizer_of(self.method, self.training)
        fitted = Fitted(state={}, parts=self.training.accumulation)
        course = Course(optimizer, schedule_of(optimizer, self.training, total_steps), fitted, Pace(total_steps))
        if saved is None:
            own = f"rank/{self.ranks.index}" if self.ranks.index else ""
            torch.manual_seed(self.streams.integer("dropout", own))
        else:
            course.load(saved, self.evaluator.device)
        return course

    def _can_go_on(self) -> bool:
        """Return whether a savepoint would hold all that later steps depend on; each rank's dropout is its own."""
        return self.method.resumable() and self.ranks.count == 1

    def _epoch(self, course: Course, train: Examples) -> float:
        """Train what is left of the course's epoch; return its mean loss."""
        epoch, fitted, total, began = course.epoch, course.fitted, course.pace.total_steps, time.perf_counter()
        if not course.losses:
            exchanged = self.method.before_epoch(epoch)
            if exchanged:
                carry(course.optimizer, self.method.updated(), exchanged)
        seen = self.protocol.for_epoch(train, self.streams, epoch)
        batches = training_batches(train.lengths, self.training.batch_size, self.streams, epoch)
        for rows in itertools.islice(batches, len(course.losses), None):
            course.losses.append(self._step(course, seen, rows))
            course.schedule.step()
            fitted.steps += 1
            self.method.after_step(fitted.steps)
            course.pace.count(len(rows), int(train.lengths[rows].sum()))
            if len(course.losses) % LOSS_CHECK == 0:
                self._check(course.losses[-LOSS_CHECK:], fitted.steps, total, epoch)
            if self.savepoints and self.savepoints.due() and self._can_go_on():
                spent, began = time.perf_counter() - began, time.perf_counter()
                fitted.train_seconds += spent
                self.savepoints.save({"method": self.method.state(), **course.state()})
        fitted.train_seconds += time.perf_counter() - began
        return self._check(course.losses, fitted.steps, total, epoch)

    def _choose(self, course: Course, outcome: EpochMetrics) -> None:
        rank = self._rank(outcome)
        if outcome.selectable and (course.fitted.best_epoch is None or rank > course.best):
            course.best, course.fitted.best_epoch, course.fitted.state = rank, course.epoch, self.method.state()

    def _step(self, course: Course, train: Examples, rows: NDArray[np.int64]) -> Tensor:
        """Take one optimiser step over ``rows``; return the mean loss, not yet waited for.

        Where memory runs out the rows go through the model in twice as many parts, from then on.
        """
        optimizer, fitted = course.optimizer, course.fitted
        while (total := self._backward(train, rows, fitted.parts)) is None:
            fitted.parts = min(2 * fitted.parts, len(rows))
            optimizer.zero_grad(set_to_none=True)
            forget(self.model)
        self.ranks.add(total)
        self.ranks.add_gradients(self.method.updated().values())
        extra = self.method.extra_loss()
        if extra is not None:
            extra.backward()  # type: ignore[no-untyped-call]
        self.method.after_backward()
        if self.training.clip is not None:
            nn.utils.clip_grad_norm_(self.method.updated().values(), self.training.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    def _backward(self, train: Examples, rows: NDArray[np.int64], parts: int) -> Tensor | None:
        """Add up the gradients of the mean loss of this rank's ``rows``; none if memory ran out and less may do."""
        total = torch.zeros((), device=self.evaluator.device)
        whole, mine = self.protocol.weight(train, rows.tolist()), self.ranks.share(rows)
        try:
            for part in np.array_split(mine, min(parts, len(mine))) if len(mine) else ():
                loss = self.loss(self.collate(train, part)) * (self.protocol.weight(train, part.tolist()) / whole)
                total += loss.detach()
                loss.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as problem:
            if exhausted(problem) and parts < len(mine):
                return None  # the traceback holds the failed pass's tensors, and goes with this frame
            raise
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

    def once(self, name: str, compute: Callable[[], T]) -> T:
        found: T = self.trainer.remember(name, compute)
        return found

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
