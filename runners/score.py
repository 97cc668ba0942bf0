"""Scoring: the one evaluation loop, and the metrics over what it predicts, for validation and test alike."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from harness.metric import METRICS
from harness.protocol import Examples, Protocol
from harness.record import TaskScore
from harness.task import TaskCard
from tasks.metrics.module import load as load_metric

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Predictions:
    """What a model says of every row of a part, in the rows' own order."""

    values: NDArray[np.float64]
    loss: float


@dataclass(frozen=True)
class Evaluator:
    """Everything the evaluation loop needs beside the model."""

    protocol: Protocol
    tokenizer: Any  # Any: a transformers tokenizer or image processor
    device: torch.device
    dtype: torch.dtype

    @torch.no_grad()
    def predict(self, model: torch.nn.Module, examples: Examples, card: TaskCard) -> Predictions:
        """Run ``model`` over ``examples`` in evaluation mode; its mode is put back afterwards."""
        training = model.training
        model.eval()
        values, total = np.zeros(len(examples)), 0.0
        for rows in evaluation_batches(examples.lengths):
            batch = self.protocol.collate(examples, rows, self.tokenizer, self.device)
            with autocast(self.device, self.dtype):
                predicted, loss = self.protocol.predict(model, batch, card)
            values[rows] = predicted.cpu().numpy()
            total += float(loss) * len(rows)
        model.train(training)
        return Predictions(values, total / len(examples))


def evaluation_batches(lengths: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the rows of each batch, longest first, so that padding is least and memory peaks at once."""
    order = np.argsort(-lengths, kind="stable").tolist()
    for start in range(0, len(order), EVALUATION_BATCH):
        yield order[start : start + EVALUATION_BATCH]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which frozen bf16 weights meet fp32 trained scalars; it does nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def metrics(
    card: TaskCard, predictions: NDArray[np.float64], references: NDArray[np.float64]
) -> dict[str, float | None]:
    """Return every metric of a card, headline first; null where one is not defined on these rows."""
    numbers = {}
    for name in (card.metric.name, *card.also):
        result = load_metric(name).compute(predictions=predictions.tolist(), references=references.tolist())
        number = float(result[name]) if result is not None else float("nan")
        numbers[name] = number if math.isfinite(number) else None
    return numbers


def score(
    evaluator: Evaluator, model: torch.nn.Module, examples: Examples, card: TaskCard
) -> tuple[TaskScore, pa.Table]:
    """Score one task's test rows.

    Returns:
        The block for the record, and the item table: ``task``, ``item_id``, ``cluster_id``, ``prediction``, and one
        float64 column per sufficient statistic of the card's metrics.
    """
    predicted = evaluator.predict(model, examples, card)
    names = (card.metric.name, *card.also)
    statistics: dict[str, NDArray[np.float64]] = {}
    for name in names:
        statistics |= METRICS[name].rows(predicted.values, examples.labels)
    items = pa.table(
        {
            "task": [card.name] * len(examples),
            "item_id": list(examples.item_ids),
            "cluster_id": list(examples.item_ids),
            "prediction": predicted.values,
            **statistics,
        }
    )
    block = TaskScore(
        task=card.name,
        split="evaluation",
        num_items=len(examples),
        metrics=metrics(card, predicted.values, examples.labels),
        headline=card.metric.name,
        truncated=examples.truncated,
        items_digest=items_digest(examples),
    )
    return block, items


def items_digest(examples: Examples) -> str:
    """Return the digest of item ids and references in order."""
    digest = hashlib.sha256("\n".join(examples.item_ids).encode())
    digest.update(np.ascontiguousarray(examples.labels, dtype="<f8").tobytes())
    return digest.hexdigest()
