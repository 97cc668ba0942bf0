"""Memory that runs out: how it is told from other errors, and how it is given back."""

from __future__ import annotations

import gc

import torch
from torch import nn

CPU_ALLOCATOR = "can't allocate memory"
"""What torch's allocator on a CPU says; it has no exception of its own."""


def exhausted(problem: BaseException) -> bool:
    """Return whether the machine's or a device's memory ran out."""
    return isinstance(problem, MemoryError | torch.OutOfMemoryError) or CPU_ALLOCATOR in str(problem)


def forget(model: nn.Module) -> None:
    """Free what a failed pass left: gradients of every parameter, trained or not, and the allocator's reserve."""
    for parameter in model.parameters():
        parameter.grad = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
