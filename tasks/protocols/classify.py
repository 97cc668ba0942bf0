"""Classify: texts, texts with marked spans, or candidates, met by a backbone with a head; encoders and decoders.

What a task's rows are follows from the fields that its card names columns for:

``text``, ``text_pair``, ``label``                       texts: a label or a number (``tasks.inputs.texts``)
... and ``span1_start``, ``span1_end``, ``span2_...``    texts with marked spans: a label (``tasks.inputs.spans``)
``text``, ``text_pair``, ``candidates`` (a list), or ``candidate1``, ``candidate2``, ...; ``label`` or ``answers``
                                                         candidates: one of them (``tasks.inputs.candidates``)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from harness import protocol
from harness.backbone import Backbone, BackboneFiles, load_tokenizer
from harness.protocol import Examples, Predictions
from harness.splits import Part
from harness.task import TaskCard
from tasks.inputs.candidates import Candidates
from tasks.inputs.spans import Spans
from tasks.inputs.texts import Batch, Options, Texts


class Classify(protocol.Protocol):
    """A task of texts, marked spans or candidates, met by a backbone with a head."""

    KINDS = ("encoder", "decoder")
    Options = Options
    READS_HIDDEN = True

    def __init__(self, card: TaskCard, options: BaseModel | None = None) -> None:
        super().__init__(card, options)
        assert isinstance(self.options, Options)  # what the contract makes of ``Options`` above
        self.input = _kind(card)(card, self.options)

    def head_key(self) -> str:
        """Return what tells heads apart."""
        return self.input.key()

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head for the task, and the head's parameter names."""
        self.refuse_kind(files, "reads text")
        return self.input.build(files, meta)

    def check_export(self) -> None:
        """Raise ``NotApplicable`` where transformers cannot open the model."""
        self.input.check_export()

    def load(self, files: BackboneFiles) -> Backbone:
        """Return a loaded backbone with a head for the task and its tokenizer."""
        model, head = self.build(files)
        tokenizer = load_tokenizer(files)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id  # type: ignore[union-attr]  # decoders find the last token by it
        return Backbone(files, model, head, tokenizer)

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part."""
        return self.input.encode(part, tokenizer, max_length)

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch."""
        return self.input.collate(examples, rows, tokenizer, device)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch in fp32."""
        return self.loss_of(self.input.scores(model, batch), batch["labels"])

    def loss_of(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (rows, outcomes) against what is right."""
        return self.input.loss_of(scores, labels)

    def log_likelihoods(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the log-probability of every label or candidate, (rows, outcomes) in fp32.

        Raises:
            NotApplicable: for a regression, whose outcomes cannot be listed.
        """
        return self.input.log_likelihoods(self.input.scores(model, batch))

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Sequence[float], Tensor]:
        """Return predictions (rows,) and the mean loss of a batch; NaN where its labels are hidden."""
        scores = self.input.scores(model, batch)
        found: list[float] = self.input.chosen(scores).double().tolist()
        loss = self.loss_of(scores, batch["labels"]) if "labels" in batch else torch.tensor(torch.nan)
        return found, loss

    def answers(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Turn what the model said of each row into predictions as the metrics expect them."""
        return self.input.answers(examples, outputs)

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the predictions of a model that makes no mistake."""
        return self.input.perfect(examples)


def _kind(card: TaskCard) -> type[Texts]:
    if "candidates" in card.columns or "candidate1" in card.columns:
        return Candidates
    return Spans if "span1_start" in card.columns else Texts


PROTOCOL = Classify
