"""Sequences: contexts with the continuations that are scored, and how likely a model holds these to be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

FULL_SHARE = 0.5
"""Logits of all positions are formed where more than this share of them is needed."""


@dataclass(frozen=True)
class Sequence:
    """A context and its continuation as one model reads them."""

    ids: tuple[int, ...]
    """The tokens, the last of which is predicted and never read."""
    num_scored: int
    """How many tokens at the end are the continuation."""
    is_cut: bool = False
    """Whether tokens were left out at the beginning, because the model reads no more."""

    @staticmethod
    def of(context: Many[int], continuation: Many[int], max_length: int) -> Sequence:
        """Return what is left of a context and its continuation in a window of ``max_length`` tokens read.

        Raises:
            ValueError: if the continuation alone does not fit, or one of the two is empty.
        """
        if not context or not 0 < len(continuation) <= max_length:
            raise ValueError(
                f"a context of {len(context)} tokens with a continuation of {len(continuation)}: both need at least "
                f"one, and the continuation at most {max_length}"
            )
        whole = (*context, *continuation)
        return Sequence(whole[-(max_length + 1) :], len(continuation), len(whole) > max_length + 1)

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that the model reads."""
        return self.ids[:-1]


def token_losses(model: nn.Module, sequences: Many[Sequence], device: torch.device) -> list[Tensor]:
    """Return the negative log-likelihood of each token of each continuation, in fp32 nats.

    Rows are padded on the right and no mask is given: what a causal model says of a position depends on earlier ones.

    Args:
        model: a causal language model of transformers.
        sequences: what it reads, as one batch.
        device: where the model is.

    Returns:
        One tensor (num_scored,) per sequence.
    """
    read = list(dict.fromkeys(one.read for one in sequences))  # answers of one token share their context
    longest = max(map(len, read))
    inputs = torch.tensor([[*one, *[0] * (longest - len(one))] for one in read], device=device)
    scored = [(one, range(len(one.read) - one.num_scored, len(one.read))) for one in sequences]
    needed = sorted({position for _, positions in scored for position in positions})
    if len(needed) <= FULL_SHARE * longest and _keeps(type(model).forward):
        # The product with the vocabulary is a fifth of a small model's work; most positions need none.
        logits = model(inputs, logits_to_keep=torch.tensor(needed, device=device), use_cache=False).logits
        column = {position: index for index, position in enumerate(needed)}
    else:
        logits = model(inputs, use_cache=False).logits
        column = {position: position for position in needed}
    row = {one: index for index, one in enumerate(read)}
    rows = torch.tensor([row[one.read] for one, positions in scored for _ in positions], device=device)
    columns = torch.tensor([column[position] for _, positions in scored for position in positions], device=device)
    targets = torch.tensor([token for one in sequences for token in one.ids[-one.num_scored :]], device=device)
    losses = functional.cross_entropy(logits[rows, columns].float(), targets, reduction="none")
    return list(torch.split(losses, [one.num_scored for one in sequences]))


@cache
def _keeps(forward: Callable[..., object]) -> bool:
    """Return whether a model can be asked for the logits of some positions only."""
    return "logits_to_keep" in inspect.signature(forward).parameters
