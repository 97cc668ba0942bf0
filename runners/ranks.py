"""Ranks: the processes that train one run together, each on its share of every batch.

Every rank holds the whole backbone and takes every step: gradients of the trained part alone are added up, so that what
crosses between devices is as small as the method is. The batch, its order and the optimiser's steps are those of one
process; what differs is rounding, and dropout, which each rank draws for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """One process's place among those that train a run; by default it is alone."""

    index: int = 0
    count: int = 1

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this rank's rows of a batch: every ``count``-th, so that lengths are dealt evenly."""
        return rows[self.index :: self.count]

    def add(self, *tensors: Tensor) -> None:
        """Add tensors up over all ranks, in place."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        for tensor, total in zip(tensors, reduce(list(tensors), reduction="sum"), strict=True):
            tensor.copy_(total)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add the gradients of parameters up over all ranks; a rank without rows of a batch has none of its own."""
        if self.count == 1:
            return
        given = list(parameters)
        for parameter in given:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.add(*(parameter.grad for parameter in given if parameter.grad is not None))


def join(device: str) -> Ranks:
    """Join the ranks that the environment names, in the variables of torch's own launcher; alone where there are none.

    Raises:
        RuntimeError: if the others cannot be reached.
    """
    from accelerate import PartialState

    state = PartialState(cpu=not device.startswith("cuda"))
    return Ranks(state.process_index, state.num_processes)
