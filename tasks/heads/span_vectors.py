"""Span vectors: a linear head over the mean vectors of marked spans and the vector of the whole text, joined.

It takes the place of an architecture's own classification head, so that everything else of that model (the backbone
and its name for it, dropout, the width of what it puts out) stays as transformers has it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


class SpanHeads:
    """Builds such models in place of one of transformers' auto classes."""

    def __init__(self, num_spans: int, reads_last: bool) -> None:
        """Choose the shape.

        Args:
            num_spans: spans that are marked in each row.
            reads_last: whether the vector of the whole text is its last token's, as a decoder's must be; else it is
                the pooled one where the backbone has it, and the first token's where it has not.
        """
        self.num_spans, self.reads_last = num_spans, reads_last

    def from_config(self, config: Any) -> Any:  # Any, here and below: transformers' auto classes are untyped
        """Return a model with random weights."""
        return self._kind(config)._from_config(config)

    def from_pretrained(self, folder: Any, **options: Any) -> Any:
        """Return a model with the weights of a folder; see ``PreTrainedModel.from_pretrained``."""
        from transformers import AutoConfig

        return self._kind(AutoConfig.from_pretrained(folder)).from_pretrained(folder, **options)

    def _kind(self, config: Any) -> Any:
        from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

        return _class(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)], self.num_spans, self.reads_last)


class Output:
    """What the model says; named as transformers names it."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class SpanVectors(nn.Module):
    """What a model's class is made of, with the architecture's own class after it."""

    num_spans: int
    reads_last: bool
    base_model_prefix: str
    config: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        own = {name: child for name, child in self.named_children() if name != self.base_model_prefix}
        inside = [module for child in own.values() for module in child.modules()]
        width = next(module.in_features for module in inside if isinstance(module, nn.Linear))
        for name in own:
            delattr(self, name)
        self.dropout = nn.Dropout(max((module.p for module in inside if isinstance(module, nn.Dropout)), default=0.0))
        self.classifier = nn.Linear((1 + self.num_spans) * width, config.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        span_mask: Tensor | None = None,
        **options: Any,
    ) -> Output:
        """Return logits (rows, labels).

        Args:
            input_ids: (rows, tokens).
            attention_mask: (rows, tokens); padding is on the right.
            span_mask: (rows, spans, tokens), true at the tokens of each span; null marks the whole text every time, for
                what calls a model of any kind to see that it runs.
            **options: for the backbone.
        """
        if attention_mask is None:
            read = input_ids if input_ids is not None else options["inputs_embeds"][..., 0]
            attention_mask = torch.ones_like(read, dtype=torch.long)
        if span_mask is None:
            span_mask = attention_mask.bool()[:, None].expand(-1, self.num_spans, -1)
        said = getattr(self, self.base_model_prefix)(input_ids, attention_mask=attention_mask, **options)
        hidden: Tensor = said.last_hidden_state  # (rows, tokens, width)
        # What was put before the inputs (a tuned prompt) is in no span.
        ahead = hidden.shape[1] - span_mask.shape[2]
        weights = nn.functional.pad(span_mask, (ahead, 0)).to(hidden.dtype)
        spans = weights @ hidden / weights.sum(dim=2, keepdim=True)  # (rows, spans, width)
        joined = torch.cat([self._whole(said, hidden, attention_mask)[:, None], spans], dim=1).flatten(1)
        return Output(self.classifier(self.dropout(joined)))

    def _whole(self, said: Any, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the vector of the whole text, (rows, width)."""
        if self.reads_last:
            last = hidden.shape[1] - attention_mask.shape[1] + attention_mask.sum(dim=1) - 1
            return hidden[torch.arange(len(hidden), device=hidden.device), last]
        pooled: Tensor | None = getattr(said, "pooler_output", None)
        return hidden[:, 0] if pooled is None else pooled


@cache
def _class(architecture: Any, num_spans: int, reads_last: bool) -> Any:
    # The name ends as the architecture's own: peft tells by it what a tuned prompt is put before.
    facts = {"num_spans": num_spans, "reads_last": reads_last, "__doc__": SpanVectors.__doc__}
    return type(f"Span{architecture.__name__}", (SpanVectors, architecture), facts)
