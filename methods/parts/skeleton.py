"""A skeleton: a copy of a model on the meta device, on which a library's changes are tried and taken back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from methods.parts.snapshot import Snapshot

Result = TypeVar("Result")


class Skeleton:
    """What has the structure and shapes of ``model``, and neither its memory nor, where that will do, its values."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._shapes = _copy(model, torch.device("meta"))
        self._taken = Snapshot(self._shapes)

    def measure(self, change: Callable[[nn.Module], Result]) -> Result:
        """Return what ``change`` gives for the skeleton; its marks on it are removed.

        Where it cannot do without values, it gets a copy of the model with values; those of a model that is itself on
        the meta device are drawn.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return change(self._shapes)
        except (NotImplementedError, RuntimeError) as error:
            if "meta" not in str(error):
                raise
        finally:
            self._taken.restore()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return change(_copy(self._model, torch.device("cpu")))


def _copy(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a frozen copy on a device; what has no values yet gets small normal ones there."""

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_meta and device.type != "meta":
            return torch.empty_like(tensor, device=device).normal_(0.0, 0.02)
        return torch.empty_like(tensor, device=device) if device.type == "meta" else tensor.detach().to(device).clone()

    made = {id(p): nn.Parameter(moved(p), requires_grad=False) for p in model.parameters()}
    buffers = {
        id(b): torch.zeros_like(b, device=device) for b in model.buffers() if b.is_meta and device.type != "meta"
    }
    return copy.deepcopy(model, {**made, **buffers})
