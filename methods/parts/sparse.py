"""The sparse part: a set of scalars of the backbone is trained, everything else stays as it is.

Per tensor there are flat indices (the support), fp32 values (the trained delta, zero at the start) and the saved base
values on the support. The dense weight already contains the delta and is patched in place after each step, so the
forward pass is the plain one and needs no mask. No dense mask, dense gradient or dense optimiser state is kept:

* the weight of linear layers or convolutions gets a backward pass that forms the input gradient and just the needed
  value gradients (``methods.parts.products``);
* any other tensor (embedding, norm, bias) gathers its gradient and frees the dense one after accumulation. So does a
  tied tensor, which is one parameter.

Methods differ only in how they choose the support.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers.pytorch_utils import Conv1D

from methods.parts.patching import Patches
from methods.parts.products import Geometry, Scratch, Support, convolution, linear


class SparsePart:
    """The trained scalars of one model.

    Args:
        model: the frozen backbone; its forward passes are patched until ``remove`` or ``release``.
        support: parameter name to flat int64 indices, ascending. A tied tensor is named once. An empty support costs
            nothing; it names a tensor that ``reselect`` may choose scalars of.
    """

    def __init__(self, model: nn.Module, support: Mapping[str, Tensor]) -> None:
        named = dict(model.named_parameters())
        self.parameters = {name: named[name] for name in support}
        self.indices = {name: indices.to(named[name].device) for name, indices in support.items()}
        self.values = {
            name: nn.Parameter(torch.zeros(indices.numel(), dtype=torch.float32, device=indices.device))
            for name, indices in self.indices.items()
        }
        self.base = {name: _flat(named[name])[indices] for name, indices in self.indices.items()}
        self._scratch, self._patches = Scratch(), Patches()
        self._suspended = False
        self._supports: dict[str, Support] = {}
        self._handles: dict[str, RemovableHandle] = {}
        for name, parameter in self.parameters.items():
            owners = [module for module in model.modules() if any(p is parameter for p in module._parameters.values())]
            if all(_has_sparse_product(owner) and owner.weight is parameter for owner in owners):
                self._supports[name] = Support(parameter.shape, self.indices[name], self._scratch)
                for owner in owners:
                    self._patches.patch(owner, self._forward(name))
            else:
                self._gather(name)

    @torch.no_grad()
    def patch(self) -> None:
        """Write base plus delta into the dense weights, on the support only."""
        for name, base in self.base.items():
            self._write(name, base.float() + self.values[name])

    @torch.no_grad()
    def reselect(self, support: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train other scalars of the same tensors: one that stays keeps its delta, one that leaves is as it was.

        Args:
            support: as at the start; a tensor that is not named gets an empty support.

        Returns:
            For each tensor, the position that each of its scalars had before among the values, -1 for a new one.

        Raises:
            ValueError: for a tensor that was not named at the start.
        """
        if unknown := support.keys() - self.values.keys():
            raise ValueError(
                f"the sparse part was not made for {', '.join(sorted(unknown))}; name every tensor that may ever be "
                f"selected at the start, with an empty support if need be"
            )
        before = {}
        for name, values in self.values.items():
            old, base = self.indices[name], self.base[name]
            new = support[name].to(old.device) if name in support else old[:0]
            self._write(name, base)
            positions = _positions(old, new)
            stays = positions >= 0
            self.base[name] = _flat(self.parameters[name])[new]
            values.data = torch.where(stays, _pick(values.data, positions), 0.0)
            values.grad = None
            self.indices[name], before[name] = new, positions
            if name in self._supports:
                self._supports[name].select(new)
            else:
                self._gather(name)
        self.patch()
        return before

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Give the plain passes and gradients back for a while, the delta kept: for scoring what to select."""
        self._suspended = True
        try:
            yield
        finally:
            self._suspended = False

    def remove(self) -> None:
        """Take the delta and the patched passes out again; the backbone is bit-equal to what it was."""
        for name, base in self.base.items():
            self._write(name, base)
        self.release()

    def release(self) -> None:
        """Give the plain passes back and leave the delta in the weights: the merged model."""
        for handle in self._handles.values():
            handle.remove()
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        self._handles = {}
        self._patches.remove()
        self._scratch.free()

    def _write(self, name: str, scalars: Tensor) -> None:
        flat = _flat(self.parameters[name])
        if scalars.numel() == flat.numel():
            flat.copy_(scalars)  # three times as fast as a scatter
        else:
            flat.scatter_(0, self.indices[name], scalars.to(flat.dtype))

    def _forward(self, name: str) -> Callable[[nn.Module, Tensor], Tensor]:
        values, support = self.values[name], self._supports[name]

        def forward(module: nn.Module, inputs: Tensor) -> Tensor:
            if self._suspended or not (values.numel() and torch.is_grad_enabled()):
                plain: Tensor = type(module).forward(module, inputs)
                return plain
            if isinstance(module, nn.Conv2d):
                assert not isinstance(module.padding, str)  # see _has_sparse_product
                geometry = Geometry(module.stride, module.padding, module.dilation, module.groups)
                return convolution(inputs, module.weight, module.bias, values, support, geometry)
            assert isinstance(module, nn.Linear | Conv1D)
            return linear(inputs, module.weight, module.bias, values, support, turned=isinstance(module, Conv1D))

        return forward

    def _gather(self, name: str) -> None:
        """Let a tensor gather its gradient, if any of its scalars is trained."""
        parameter, values = self.parameters[name], self.values[name]
        if name in self._handles:
            self._handles.pop(name).remove()
        parameter.requires_grad_(values.numel() > 0)
        if not values.numel():
            return
        indices = self.indices[name]

        def gather(parameter: Tensor) -> None:
            # torch calls this, too, where a tensor was used but has no gradient.
            if self._suspended or parameter.grad is None:
                return
            gradient = parameter.grad.reshape(-1)[indices].float()
            values.grad = gradient if values.grad is None else values.grad + gradient
            parameter.grad = None

        hook: Any = parameter.register_post_accumulate_grad_hook  # torch leaves it untyped
        self._handles[name] = hook(gather)


def _has_sparse_product(module: nn.Module) -> bool:
    # A subclass may compute something else than the plain product.
    if type(module) is nn.Conv2d:
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) in (nn.Linear, Conv1D)


def _flat(tensor: Tensor) -> Tensor:
    return tensor.data.view(-1)


def _positions(old: Tensor, new: Tensor) -> Tensor:
    """Return where each of ``new`` stands in ``old``, -1 where it does not; both int64 and ascending."""
    if not old.numel():
        return torch.full_like(new, -1)
    places = torch.searchsorted(old, new).clamp_(max=old.numel() - 1)
    return torch.where(old[places] == new, places, -1)


def _pick(values: Tensor, positions: Tensor) -> Tensor:
    """Return ``values`` at the positions, anything at those that are negative."""
    return values[positions] if values.numel() else values.new_zeros(positions.shape)
