"""Classify: a text, or a pair of texts, to one of the task's labels or to a number; a head on an encoder or decoder.

Fields: ``text``, ``text_pair`` (optional), ``label``. Pairs are encoded together, the longer text cut first. The loss
is cross-entropy over the labels, or mean squared error for a regression, whose predictions are clipped to its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness.backbone import Backbone, BackboneFiles, load_model, load_tokenizer
from harness.data import Part
from harness.errors import MissingPrerequisite, NotApplicable
from harness.task import TaskCard

KINDS = ("encoder", "decoder")
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Examples:
    """Encoded rows of one part: token ids per row, targets, and what names each row."""

    inputs: tuple[dict[str, list[int]], ...]
    labels: NDArray[np.float64]
    item_ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    truncated: int

    def __len__(self) -> int:
        return len(self.item_ids)


def head_options(card: TaskCard) -> dict[str, Any]:
    """Return the configuration values that shape the head for a task (Any: transformers' options)."""
    if card.label_range is not None:
        return {"num_labels": 1, "problem_type": "regression"}
    return {"num_labels": len(card.labels), "problem_type": "single_label_classification"}


def build(files: BackboneFiles, card: TaskCard, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
    """Return the backbone with a head for ``card``, and the head's parameter names.

    Raises:
        NotApplicable: for a backbone that reads no text.
    """
    from transformers import AutoModelForSequenceClassification

    if files.kind not in KINDS:
        raise NotApplicable(
            f"{card.name} is met by classify, which needs a backbone that reads text; {files.kind} came"
        )
    return load_model(files, AutoModelForSequenceClassification, meta=meta, **head_options(card))


def load(files: BackboneFiles, card: TaskCard) -> Backbone:
    """Return a loaded backbone with a head for ``card`` and its tokenizer."""
    model, head = build(files, card)
    tokenizer = load_tokenizer(files)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id  # type: ignore[union-attr]  # decoders find the last token by it
    return Backbone(files, model, head, tokenizer)


def encode(part: Part, tokenizer: Any, max_length: int) -> Examples:
    """Encode the rows of a part (Any: a transformers tokenizer).

    Raises:
        MissingPrerequisite: for a missing column, an empty split, or a label outside the card's range; by name.
    """
    card = part.task.card
    table, chosen = part.raw().table, part.chosen()
    missing = sorted(set(card.columns.values()) - set(table.column_names))
    if missing:
        raise MissingPrerequisite(
            f"{card.name} ({part.split}) has no column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    if not len(chosen):
        raise MissingPrerequisite(f"{card.name} ({part.split}) has no rows; raise sizes or check the data")
    rows = table.take(chosen)
    fields = {field: rows.column(column).to_pylist() for field, column in card.columns.items()}
    labels = _labels(card, part.split, fields["label"])
    for field in ("text", "text_pair"):
        wrong = [row for row, text in zip(chosen, fields.get(field, ()), strict=False) if not isinstance(text, str)]
        if wrong:
            raise MissingPrerequisite(
                f"{card.name} ({part.split}) has {len(wrong)} rows without a text in column {card.columns[field]}, "
                f"such as row {wrong[0]}; mend the data"
            )
    texts = [fields["text"]] if "text_pair" not in fields else [fields["text"], fields["text_pair"]]
    full = tokenizer(*texts, add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
    cut = tokenizer(*texts, truncation="longest_first", max_length=max_length)
    inputs = tuple({key: cut[key][row] for key in cut} for row in range(len(labels)))
    return Examples(
        inputs,
        labels,
        tuple(f"{part.split}:{row}" for row in chosen.tolist()),
        np.array([len(one["input_ids"]) for one in inputs], dtype=np.int64),
        sum(len(ids) > max_length for ids in full),
    )


def collate(examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
    """Return a padded batch: ``input_ids`` and ``attention_mask`` (rows, longest), ``labels`` (rows,)."""
    length = int(examples.lengths[list(rows)].max())
    pads = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0}
    batch = {
        key: torch.tensor(
            [examples.inputs[row][key] + [pads.get(key, 0)] * (length - len(examples.inputs[row][key])) for row in rows]
        )
        for key in examples.inputs[rows[0]]
    }
    batch["labels"] = torch.from_numpy(examples.labels[list(rows)])
    return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}


def loss(model: nn.Module, batch: Batch, card: TaskCard) -> Tensor:
    """Return the mean loss of a batch in fp32."""
    return loss_of(_logits(model, batch), batch["labels"], card)


def log_likelihoods(model: nn.Module, batch: Batch, card: TaskCard) -> Tensor:
    """Return the log-probability of every label, (rows, labels) in fp32.

    Raises:
        NotApplicable: for a regression, whose outcomes cannot be listed.
    """
    if card.label_range is not None:
        raise NotApplicable(f"{card.name} is a regression: its outcomes cannot be listed")
    return functional.log_softmax(_logits(model, batch), dim=-1)


def loss_of(logits: Tensor, labels: Tensor, card: TaskCard) -> Tensor:
    """Return the mean loss of logits (rows, labels) against labels (rows,)."""
    if card.label_range is not None:
        return functional.mse_loss(logits[:, 0], labels.float())
    return functional.cross_entropy(logits, labels.long())


def predict(model: nn.Module, batch: Batch, card: TaskCard) -> tuple[Tensor, Tensor]:
    """Return predictions (rows,) and the mean loss of a batch."""
    logits = _logits(model, batch)
    if card.label_range is not None:
        predictions = logits[:, 0].clamp(*card.label_range)
    else:
        predictions = logits.argmax(dim=-1)
    return predictions.double(), loss_of(logits, batch["labels"], card)


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(**{key: tensor for key, tensor in batch.items() if key != "labels"}).logits
    return logits.float()


def _labels(card: TaskCard, split: str, values: list[Any]) -> NDArray[np.float64]:
    strange = [value for value in values if value is None or isinstance(value, str)]
    if strange:
        raise MissingPrerequisite(f"{card.name} ({split}) has labels that are no numbers, such as {strange[0]!r}")
    labels = np.array(values, dtype=np.float64)
    low, high = card.label_range if card.label_range is not None else (0, len(card.labels) - 1)
    wrong = labels[~((labels >= low) & (labels <= high))]  # a NaN is in no range
    if wrong.size:
        hidden = "; -1 marks labels that are not public" if (wrong == -1).all() else ""
        raise MissingPrerequisite(
            f"{card.name} ({split}) has {wrong.size} labels outside {low} to {high}, such as {wrong[0]:g}{hidden}"
        )
    return labels
