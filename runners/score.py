"""Scoring: the one evaluation loop, and the metrics over what it predicts, for validation and test alike."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from harness import metric
from harness.errors import MissingPrerequisite
from harness.protocol import Examples, Predictions, Protocol
from harness.record import TaskScore
from harness.task import TaskCard
from runners.memory import exhausted, forget
from tasks.metrics.module import load

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Evaluator:
    """Everything the evaluation loop needs beside the model; what protocols see of it is ``Evaluation``."""

    tokenizer: Any  # Any: a transformers tokenizer or image processor
    device: torch.device
    dtype: torch.dtype
    batch_size: int = EVALUATION_BATCH
    _given: list[int] = field(default_factory=list)
    """Rows of the batches given so far: none where a protocol forms its own."""

    @torch.no_grad()
    def predict(
        self, model: torch.nn.Module, protocol: Protocol, examples: Examples, validating: bool = False
    ) -> Predictions:
        """Run ``model`` over ``examples`` in evaluation mode; its mode is put back afterwards, module by module.

        Where memory runs out, everything is predicted anew in batches of half the rows.
        """
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            smaller, predicted = self, self._try(model, protocol, examples, validating)
            while predicted is None:
                smaller = replace(smaller, batch_size=max(smaller._given) // 2, _given=[])
                forget(model)
                predicted = smaller._try(model, protocol, examples, validating)
            return predicted
        finally:
            for module, training in modes.items():
                module.training = training

    def _try(
        self, model: torch.nn.Module, protocol: Protocol, examples: Examples, validating: bool
    ) -> Predictions | None:
        """Return the predictions; none if memory ran out and smaller batches may do."""
        try:
            return (protocol.validate if validating else protocol.predict)(model, examples, self)
        except (RuntimeError, MemoryError) as problem:
            if exhausted(problem) and max(self._given, default=1) > 1:
                return None
            raise

    def batches(self, protocol: Protocol, examples: Examples) -> Iterator[tuple[list[int], Any]]:
        """Yield the rows and the collated batch of each step, longest inputs first (Any: the protocol's own)."""
        for rows in evaluation_batches(examples.lengths, self.batch_size):
            self._given.append(len(rows))
            yield rows, protocol.collate(examples, rows, self.tokenizer, self.device)

    def autocast(self) -> torch.autocast:
        """Return the context that every forward pass runs in."""
        return autocast(self.device, self.dtype)


def evaluation_batches(lengths: NDArray[np.int64], size: int = EVALUATION_BATCH) -> Iterator[list[int]]:
    """Yield the rows of each batch, longest first, so that padding is least and memory peaks at once."""
    order = np.argsort(-lengths, kind="stable").tolist()
    for start in range(0, len(order), size):
        yield order[start : start + size]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which frozen bf16 weights meet fp32 trained scalars; it does nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


class Measured(NamedTuple):
    """The numbers of a card's metrics on some items."""

    metrics: dict[str, float | None]
    """Headline first; null where one is not defined on these items, or cannot be computed here."""
    statistics: dict[str, NDArray[np.float64]]
    """The sufficient statistics of all metrics, one value per item."""
    notes: tuple[str, ...] = ()
    """Why a number is null, where a program is missing."""


def measure(
    card: TaskCard, predictions: Sequence[Any] | None, references: Sequence[Any], final: bool = False
) -> Measured:
    """Return every metric of a card.

    Args:
        card: the task.
        predictions: numbers or texts, as the metrics expect; null gives null for every metric.
        references: what they are scored against.
        final: compute through the metrics' ``evaluate`` modules, which give the same numbers and rows.
    """
    compute = _by_evaluate if final else _directly
    found, statistics, notes = dict[str, float | None](), dict[str, NDArray[np.float64]](), []
    names = (card.metric.name, *card.also)
    if predictions is None:
        return Measured(dict.fromkeys(names), statistics)
    for name in names:
        try:
            number, rows = compute(name, predictions, references)
        except MissingPrerequisite as error:
            found[name] = None
            notes.append(f"{name} was not computed: {error}")
            continue
        found[name] = number if math.isfinite(number) else None
        statistics |= rows
    return Measured(found, statistics, tuple(notes))


def _directly(name: str, predictions: Sequence[Any], references: Sequence[Any]) -> tuple[float, metric.Rows]:
    one = metric.find(name)
    rows = one.rows(predictions, references)
    return one.score(rows), rows


def _by_evaluate(name: str, predictions: Sequence[Any], references: Sequence[Any]) -> tuple[float, metric.Rows]:
    module = load(name)
    number = module.compute(predictions=predictions, references=references)[name]
    return number, module.rows


def score(
    evaluator: Evaluator, model: torch.nn.Module, protocol: Protocol, examples: Examples
) -> tuple[TaskScore, pa.Table, tuple[str, ...]]:
    """Score one task's test rows.

    Returns:
        The block for the record; the item table with ``task``, ``item_id``, ``cluster_id``, ``prediction``, and one
        float64 column per sufficient statistic of the card's metrics; and notes for the record.
    """
    card = protocol.card
    predicted = evaluator.predict(model, protocol, examples)
    assert predicted.values is not None, "only a validation may do without predictions"
    measured = measure(card, predicted.values, examples.references, final=True)
    items = pa.table(
        {
            "task": [card.name] * len(examples.item_ids),
            "item_id": list(examples.item_ids),
            "cluster_id": list(examples.cluster_ids),
            "prediction": _storable(predicted.values if predicted.shown is None else predicted.shown),
            **measured.statistics,
        }
    )
    block = TaskScore(
        task=card.name,
        split="evaluation",
        num_items=len(examples.item_ids),
        metrics=measured.metrics,
        headline=card.metric.name,
        truncated=examples.truncated,
        items_digest=items_digest(examples),
    )
    return block, items, (*predicted.notes, *measured.notes)


def items_digest(examples: Examples) -> str:
    """Return the digest of item ids and references in order."""
    digest = hashlib.sha256("\n".join(examples.item_ids).encode())
    if _all_numbers(examples.references):
        digest.update(np.asarray(examples.references, dtype="<f8").tobytes())
    else:
        digest.update(json.dumps(list(examples.references), sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _all_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def _storable(values: Sequence[Any]) -> list[float] | list[str]:
    """Return predictions as one column's values: numbers, or texts (JSON for what is neither)."""
    if _all_numbers(values):
        return [float(value) for value in values]
    return [value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str) for value in values]
