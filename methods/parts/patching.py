"""Patching: another forward pass for chosen modules of a model, which keeps its structure and can be had back."""

from __future__ import annotations

import types
from collections.abc import Callable

from torch import Tensor, nn


class Patches:
    """The patched modules of one model."""

    def __init__(self) -> None:
        self._modules: list[nn.Module] = []

    def patch(self, module: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        """Give ``module`` another forward pass: ``forward(module, inputs)`` in place of its own."""
        module.forward = types.MethodType(forward, module)
        self._modules.append(module)

    def remove(self) -> None:
        """Give every module its own forward pass back."""
        for module in self._modules:
            del module.forward
        self._modules = []
