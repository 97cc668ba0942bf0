"""The exchange: the processes that train one part apart from each other, and what they tell one another.

It is torch's process group, as the runner joined it; without one a rank is alone and tells nobody anything. Every
exchange is collective: all members take part, in the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


class Exchange:
    """This process among its fellow ranks.

    Args:
        size: how many ranks there are to be; with one this process works alone, whatever group it is in.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent_bytes = 0
        """What this rank gave to the others so far; each of them is told once."""

    @property
    def index(self) -> int:
        """This rank's place, from 0."""
        return distributed.get_rank() if self.together() else 0

    def together(self) -> bool:
        """Return whether the others are there; until the runner has joined them, shapes can be planned all the same."""
        return self.size > 1 and distributed.is_initialized() and distributed.get_world_size() == self.size

    def agree(self, tensor: Tensor) -> Tensor:
        """Return the first rank's tensor, of the same shape and type on all."""
        if distributed.is_initialized():  # ranks that share every step must choose the same, too
            tensor = tensor.clone()
            distributed.broadcast(tensor, src=0)
            self._count(tensor if self.index == 0 else tensor[:0])
        return tensor

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of all ranks' tensors."""
        if self.together():
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
            self._count(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return every rank's tensor, of the same shape and type on all, in the order of their places."""
        if not self.together():
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        distributed.all_gather(found, tensor.contiguous())
        self._count(tensor)
        return found

    def _count(self, tensor: Tensor) -> None:
        self.sent_bytes += tensor.numel() * tensor.element_size()
