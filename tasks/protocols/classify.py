"""Classify: a text, or a pair of texts, to one of the task's labels or to a number; a head on an encoder or decoder.

Fields: ``text``, ``text_pair`` (optional), ``label``. Pairs are encoded together, the longer text cut first. The loss
is cross-entropy over the labels, or mean squared error for a regression, whose predictions are clipped to its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol
from harness.backbone import Backbone, BackboneFiles, load_model, load_tokenizer
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples
from harness.splits import Part

Batch = dict[str, Tensor]


class Classify(protocol.Protocol):
    """A text or a pair of texts, met by a backbone with a classification head."""

    KINDS = ("encoder", "decoder")

    def head_options(self) -> dict[str, Any]:
        """Return the configuration values that shape the head (Any: transformers' options)."""
        if self.card.label_range is not None:
            return {"num_labels": 1, "problem_type": "regression"}
        return {"num_labels": len(self.card.labels), "problem_type": "single_label_classification"}

    def head_key(self) -> str:
        """Return what tells heads apart."""
        return f"regression{self.card.label_range}" if self.card.label_range else str(len(self.card.labels))

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head for the task, and the head's parameter names."""
        from transformers import AutoModelForSequenceClassification

        self.refuse_kind(files, "reads text")
        return load_model(files, AutoModelForSequenceClassification, meta=meta, **self.head_options())

    def load(self, files: BackboneFiles) -> Backbone:
        """Return a loaded backbone with a head for the task and its tokenizer."""
        model, head = self.build(files)
        tokenizer = load_tokenizer(files)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id  # type: ignore[union-attr]  # decoders find the last token by it
        return Backbone(files, model, head, tokenizer)

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part: token ids per row, and the labels as references."""
        kinds = {field: str for field in ("text", "text_pair") if field in self.card.columns}
        fields = part.fields(**kinds)
        labels = self.labels(part)
        texts = list(fields.values())
        full = tokenizer(*texts, add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
        cut = tokenizer(*texts, truncation="longest_first", max_length=max_length)
        inputs = tuple(
            {**{key: cut[key][row] for key in cut}, "labels": label} for row, label in enumerate(labels.tolist())
        )
        return Examples(
            inputs,
            np.array([len(one["input_ids"]) for one in inputs], dtype=np.int64),
            part.item_ids(),
            part.cluster_ids(),
            labels.tolist(),
            sum(len(ids) > max_length for ids in full),
        )

    def labels(self, part: Part) -> NDArray[np.float64]:
        """Return the labels of a part.

        Raises:
            MissingPrerequisite: for labels that are no numbers, or outside the card's range; by name.
        """
        values = part.values(self.card.columns["label"])
        strange = [value for value in values if value is None or isinstance(value, str)]
        if strange:
            raise MissingPrerequisite(f"{part.title} has labels that are no numbers, such as {strange[0]!r}")
        labels = np.array(values, dtype=np.float64)
        card = self.card
        low, high = card.label_range if card.label_range is not None else (0, len(card.labels) - 1)
        wrong = labels[~((labels >= low) & (labels <= high))]  # a NaN is in no range
        if wrong.size:
            hidden = "; -1 marks labels that are not public" if (wrong == -1).all() else ""
            raise MissingPrerequisite(
                f"{part.title} has {wrong.size} labels outside {low} to {high}, such as {wrong[0]:g}{hidden}"
            )
        return labels

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch: ``input_ids`` and ``attention_mask`` (rows, longest), ``labels`` (rows,)."""
        length = int(examples.lengths[list(rows)].max())
        pads = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0}
        inputs = [examples.inputs[row] for row in rows]
        batch = {
            key: torch.tensor([one[key] + [pads.get(key, 0)] * (length - len(one[key])) for one in inputs])
            for key in inputs[0]
            if key != "labels"
        }
        batch["labels"] = torch.tensor([one["labels"] for one in inputs], dtype=torch.float64)
        return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch in fp32."""
        return self.loss_of(_logits(model, batch), batch["labels"])

    def log_likelihoods(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the log-probability of every label, (rows, labels) in fp32.

        Raises:
            NotApplicable: for a regression, whose outcomes cannot be listed.
        """
        if self.card.label_range is not None:
            raise NotApplicable(f"{self.card.name} is a regression: its outcomes cannot be listed")
        return functional.log_softmax(_logits(model, batch), dim=-1)

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of logits (rows, labels) against labels (rows,)."""
        if self.card.label_range is not None:
            return functional.mse_loss(logits[:, 0], labels.float())
        return functional.cross_entropy(logits, labels.long())

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Sequence[float], Tensor]:
        """Return predictions (rows,) and the mean loss of a batch."""
        logits = _logits(model, batch)
        if self.card.label_range is not None:
            predictions = logits[:, 0].clamp(*self.card.label_range)
        else:
            predictions = logits.argmax(dim=-1)
        found: list[float] = predictions.double().tolist()
        return found, self.loss_of(logits, batch["labels"])


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(**{key: tensor for key, tensor in batch.items() if key != "labels"}).logits
    return logits.float()


PROTOCOL = Classify
