"""Decoding: a causal language model goes on with prompts by beam search, and keeps nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, NoRepeatNGramLogitsProcessor


@dataclass(frozen=True)
class Search:
    """How the best continuation is searched for."""

    num_beams: int
    """1 takes the likeliest token each time."""
    length_penalty: float
    """A continuation's score is its log-probability divided by its tokens to this power."""
    no_repeat_ngram_size: int
    """N-grams of this length come once in a continuation; 0 allows all. The prompt does not count."""
    max_new_tokens: int
    end: int
    """The token that ends a continuation."""
    pad: int

    def config(self) -> GenerationConfig:
        """Return what transformers is given."""
        beams = {"num_beams": self.num_beams, "length_penalty": self.length_penalty} if self.num_beams > 1 else {}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=self.max_new_tokens,
            eos_token_id=self.end,
            pad_token_id=self.pad,
            **beams,
        )


def continuations(
    model: Any, prompts: Sequence[Sequence[int]], search: Search, device: torch.device
) -> list[list[int]]:
    """Return the tokens that a model writes after each prompt; the last one is the end where that was reached.

    Args:
        model: a causal language model of transformers in evaluation mode (Any: ``nn.Module`` has no ``generate``).
        prompts: token ids; searched for as one batch, padded on the left, so that all go on from the same place.
        search: how.
        device: where the model is.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[*[search.pad] * (longest - len(prompt)), *prompt] for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    size = search.no_repeat_ngram_size
    with _own_defaults_aside(model):
        sequences = model.generate(
            ids.to(device),
            attention_mask=mask.to(device),
            generation_config=search.config(),
            logits_processor=LogitsProcessorList([_NoRepeat(size, longest)] if size else []),
        )
    rows: list[list[int]] = sequences[:, longest:].tolist()
    return [row[: row.index(search.end) + 1] if search.end in row else row for row in rows]


class _NoRepeat:
    """Forbids n-grams that were written before; transformers' own option would count those of the prompt too."""

    def __init__(self, size: int, start: int) -> None:
        self._processor, self._start = NoRepeatNGramLogitsProcessor(size), start

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores, with tokens that may not follow at minus infinity."""
        return self._processor(ids[:, self._start :], scores)  # type: ignore[no-any-return]  # transformers' is untyped


@contextmanager
def _own_defaults_aside(model: Any) -> Iterator[None]:  # Any: see above
    """Decode by our values alone: a checkpoint's own, such as sampling, would fill in what we leave out."""
    own, model.generation_config = model.generation_config, GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        model.generation_config = own
