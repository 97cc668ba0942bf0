"""Texts: a text, or a pair of texts, to one of the task's labels or to a number.

Fields: ``text``, ``text_pair`` (optional), ``label``, and one of ``question_id`` and ``pair_id`` (optional), which says
what rows a metric counts together: references are then mappings such as ``{"label": 1, "question": "7"}``. Pairs are
encoded together, the longer text cut first. The loss is cross-entropy over the labels, or mean squared error for a
regression, whose predictions are clipped to its range. The labels of a ``hidden`` split are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol
from harness.backbone import BackboneFiles, load_model
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples, Predictions
from harness.splits import Part
from harness.task import TaskCard

Batch = dict[str, Tensor]
TOGETHER = {"question_id": "question", "pair_id": "pair"}
"""Fields by which metrics count rows together, and what references call them."""


class Options(protocol.Options):
    """The values of ``classify``."""

    spans: tuple[Literal["text", "text_pair"], ...] = ()
    """Where each marked span lies; by default all in ``text``."""
    placeholder: str | None = None
    """What a candidate takes the place of in ``text_pair``; null puts candidates after it."""


class Texts:
    """One task whose items are texts; the base of the other inputs."""

    NO_TOKENS = frozenset({"labels"})
    """Keys of an input that are not one value per token."""

    def __init__(self, card: TaskCard, options: Options) -> None:
        self.card = card
        self.options = options

    def key(self) -> str:
        """Return what tells heads apart."""
        return f"regression{self.card.label_range}" if self.card.label_range else str(len(self.card.labels))

    def head_options(self) -> dict[str, Any]:
        """Return the configuration values that shape the head (Any: transformers' options)."""
        if self.card.label_range is not None:
            return {"num_labels": 1, "problem_type": "regression"}
        return {"num_labels": len(self.card.labels), "problem_type": "single_label_classification"}

    def build(self, files: BackboneFiles, meta: bool) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head for the task, and the head's parameter names."""
        from transformers import AutoModelForSequenceClassification

        return load_model(files, AutoModelForSequenceClassification, meta=meta, **self.head_options())

    def check_export(self) -> None:
        """Raise ``NotApplicable`` where transformers cannot open the model."""

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part: token ids per row, and the labels as references."""
        labels = self.labels(part)
        texts = list(self.texts(part).values())
        inputs, cut = encoded(texts, tokenizer, max_length)
        return self.examples(part, inputs, labels, len(cut))

    def texts(self, part: Part) -> dict[str, list[str]]:
        """Return the text of each row, and its second one where the card has it."""
        return part.fields(**{field: str for field in ("text", "text_pair") if field in self.card.columns})

    def examples(
        self,
        part: Part,
        inputs: Sequence[dict[str, Any]],
        labels: NDArray[np.float64] | None,
        truncated: int,
        notes: tuple[str, ...] = (),
    ) -> Examples:
        """Return encoded rows, their labels added (null for those of a hidden split)."""
        marked = inputs if labels is None else [{**one, "labels": y} for one, y in zip(inputs, labels, strict=True)]
        return Examples(
            tuple(marked),
            np.array([len(one["input_ids"]) for one in inputs], dtype=np.int64),
            part.item_ids(),
            part.cluster_ids(),
            [] if labels is None else self.references(part, labels),
            truncated,
            notes,
        )

    def references(self, part: Part, labels: NDArray[np.float64]) -> list[Any]:
        """Return what the metrics of the task compare predictions with."""
        values: list[Any] = labels.tolist()
        for field, name in TOGETHER.items():
            if field in self.card.columns:
                groups = part.values(self.card.columns[field])
                return [{"label": label, name: str(group)} for label, group in zip(values, groups, strict=True)]
        return values

    def labels(self, part: Part) -> NDArray[np.float64] | None:
        """Return the labels of a part; null for a hidden split.

        Raises:
            MissingPrerequisite: for labels that are no numbers, or outside the card's range; by name.
        """
        if part.split == "hidden":
            return None
        card = self.card
        low, high = card.label_range if card.label_range is not None else (0, len(card.labels) - 1)
        return checked_labels(part, low, high, whole=card.label_range is None)

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch: ``input_ids`` and ``attention_mask`` (rows, longest), ``labels`` (rows,)."""
        inputs = [examples.inputs[row] for row in rows]
        batch = padded([{key: one[key] for key in one if key not in self.NO_TOKENS} for one in inputs], tokenizer)
        if "labels" in inputs[0]:
            batch["labels"] = torch.tensor([one["labels"] for one in inputs], dtype=torch.float64)
        return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the logits of a batch, (rows, labels) in fp32."""
        return logits(model, {key: tensor for key, tensor in batch.items() if key != "labels"})

    def loss_of(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of logits (rows, labels) against labels (rows,)."""
        if self.card.label_range is not None:
            return functional.mse_loss(scores[:, 0], labels.float())
        return functional.cross_entropy(scores, labels.long())

    def log_likelihoods(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label, (rows, labels).

        Raises:
            NotApplicable: for a regression, whose outcomes cannot be listed.
        """
        if self.card.label_range is not None:
            raise NotApplicable(f"{self.card.name} is a regression: its outcomes cannot be listed")
        return functional.log_softmax(scores, dim=-1)

    def chosen(self, scores: Tensor) -> Tensor:
        """Return the prediction of each row: a class id, or a number in the range of a regression."""
        if self.card.label_range is not None:
            return scores[:, 0].clamp(*self.card.label_range)
        return scores.argmax(dim=-1)

    def answers(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Return the predictions as the metrics expect them."""
        return Predictions(outputs, None)

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the predictions of a model that makes no mistake."""
        return [one["label"] if isinstance(one, Mapping) else one for one in examples.references]


def checked_labels(part: Part, low: float, high: float, whole: bool = True) -> NDArray[np.float64]:
    """Return the labels of a part as numbers, which are whole where they are classes.

    Raises:
        MissingPrerequisite: for labels that are no such numbers, or outside ``low`` to ``high``; by name.
    """
    column, wanted = part.task.card.columns["label"], "whole numbers" if whole else "numbers"
    values = part.values(column)
    strange = [row for row, value in enumerate(values) if not _is_number(value, whole)]
    if strange:
        raise MissingPrerequisite(
            f"{part.title} has {len(strange)} labels that are no {wanted}, such as {values[strange[0]]!r} in row "
            f"{part.chosen()[strange[0]]}; {wanted} from {low:g} to {high:g} are allowed; mend the column {column}"
        )
    labels = np.array(values, dtype=np.float64)
    wrong = labels[~((labels >= low) & (labels <= high))]  # a NaN is in no range
    if wrong.size:
        hidden = "; -1 marks labels that are not public" if (wrong == -1).all() else ""
        raise MissingPrerequisite(
            f"{part.title} has {wrong.size} labels outside {low} to {high}, such as {wrong[0]:g}{hidden}"
        )
    return labels


def encoded(
    texts: Sequence[Sequence[str]], tokenizer: Any, max_length: int
) -> tuple[list[dict[str, list[int]]], set[int]]:
    """Return encoded texts or pairs, and the numbers of those that were cut, the longer text first.

    Args:
        texts: all first texts, and all second ones where there are any.
        tokenizer: of transformers (Any: see ``Backbone``).
        max_length: tokens of a text or pair, special ones included.
    """
    full = tokenizer(*texts, truncation=False, verbose=False)
    inputs = [{key: full[key][place] for key in full} for place in range(len(texts[0]))]
    long = [place for place, one in enumerate(inputs) if len(one["input_ids"]) > max_length]
    if long:  # most fit, and need not be encoded a second time
        chosen = [[column[place] for place in long] for column in texts]
        shorter = tokenizer(*chosen, truncation="longest_first", max_length=max_length)
        for number, place in enumerate(long):
            inputs[place] = {key: shorter[key][number] for key in shorter}
    return inputs, set(long)


def padded(inputs: Sequence[dict[str, list[int]]], tokenizer: Any) -> Batch:
    """Return encoded texts as tensors (rows, longest), padded on the right (Any: a transformers tokenizer)."""
    length = max(len(one["input_ids"]) for one in inputs)
    pads = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0}
    return {
        key: torch.tensor([one[key] + [pads.get(key, 0)] * (length - len(one[key])) for one in inputs])
        for key in inputs[0]
    }


def logits(model: nn.Module, batch: Batch) -> Tensor:
    """Return what a model with a head says of a batch, in fp32."""
    said: Tensor = model(**batch).logits
    return said.float()


def _is_number(value: Any, whole: bool) -> bool:  # Any: as the source has it
    """Return whether a label is a number, and a whole one where that is asked for (a NaN is none)."""
    if not isinstance(value, bool | int | float | np.number):
        return False
    return not whole or float(value).is_integer()
