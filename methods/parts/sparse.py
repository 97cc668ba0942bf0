"""The sparse part: a fixed set of scalars of the backbone is trained, everything else stays as it is.

Per tensor there are flat indices (the support), fp32 values (the trained delta, zero at the start) and the saved base
values on the support. The dense weight already contains the delta and is patched in place after each step, so the
forward pass is the plain product and needs no mask. No dense mask, dense gradient or dense optimiser state is kept:

* a weight that only linear layers use gets a backward pass that forms the input gradient and just the needed value
  gradients, ``dL/dv_k = sum_t dY[t, row_k] X[t, col_k]``;
* any other tensor (embedding, norm, bias, convolution) gathers its gradient and frees the dense one after accumulation.

Methods differ only in how they choose the support.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

SAMPLED_DENSITY = 0.03
"""Up to here a sampled product beats a dense one into a reused buffer (measured, see DECISIONS.md)."""

_buffers: dict[tuple[torch.device, torch.dtype], Tensor] = {}


class SparsePart:
    """The trained scalars of one model.

    Args:
        model: the frozen backbone; its forward passes are patched until ``remove``.
        support: parameter name to flat int64 indices, ascending. A tied tensor is named once.
    """

    def __init__(self, model: nn.Module, support: Mapping[str, Tensor]) -> None:
        named = dict(model.named_parameters())
        self.parameters = {name: named[name] for name in support}
        self.indices = {name: indices.to(named[name].device) for name, indices in support.items()}
        self.values = {
            name: nn.Parameter(torch.zeros(indices.numel(), dtype=torch.float32, device=named[name].device))
            for name, indices in support.items()
        }
        self.base = {name: _flat(named[name])[self.indices[name]].clone() for name in support}
        self._patched: list[nn.Module] = []
        self._handles: list[Any] = []  # Any: torch's hook handles
        for name, parameter in self.parameters.items():
            owners = [module for module in model.modules() if any(p is parameter for p in module._parameters.values())]
            # A subclass may compute something else than the plain product.
            if all(type(owner) in (nn.Linear, Conv1D) and owner.weight is parameter for owner in owners):
                for owner in owners:
                    self._patch_forward(owner, name)
            else:
                parameter.requires_grad_(True)
                hook: Any = parameter.register_post_accumulate_grad_hook  # torch leaves it untyped
                self._handles.append(hook(self._gather(name)))

    @torch.no_grad()
    def patch(self) -> None:
        """Write base plus delta into the dense weights, on the support only."""
        for name, parameter in self.parameters.items():
            patched = self.base[name].float() + self.values[name]
            _flat(parameter)[self.indices[name]] = patched.to(parameter.dtype)

    def remove(self) -> None:
        """Take the delta and the patched passes out again; the backbone is bit-equal to what it was."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                _flat(parameter)[self.indices[name]] = self.base[name]
        self.release()

    def release(self) -> None:
        """Give the plain passes back and leave the delta in the weights: the merged model."""
        for handle in self._handles:
            handle.remove()
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        for owner in self._patched:
            del owner.forward
        self._handles, self._patched = [], []

    def _patch_forward(self, owner: nn.Module, name: str) -> None:
        values, pattern = self.values[name], _Pattern(self.parameters[name], self.indices[name])
        is_conv1d = isinstance(owner, Conv1D)

        def forward(module: nn.Module, inputs: Tensor) -> Tensor:
            output: Tensor = _SparseProduct.apply(  # type: ignore[no-untyped-call]
                inputs, module.weight, module.bias, values, pattern, is_conv1d
            )
            return output

        owner.forward = types.MethodType(forward, owner)
        self._patched.append(owner)

    def _gather(self, name: str) -> Callable[[Tensor], None]:
        indices, values = self.indices[name], self.values[name]

        def gather(parameter: Tensor) -> None:
            if parameter.grad is None:  # torch calls this, too, where a tensor was used but has no gradient
                return
            gradient = _flat(parameter.grad)[indices].float()
            values.grad = gradient if values.grad is None else values.grad + gradient
            parameter.grad = None

        return gather


class _Pattern:
    """The support of one weight, in the two forms that its value gradients are computed from."""

    def __init__(self, weight: Tensor, indices: Tensor) -> None:
        self.indices = indices
        self.shape = weight.shape
        self.sampled = None
        if indices.numel() <= SAMPLED_DENSITY * weight.numel() and weight.dtype == torch.float32:
            rows, columns = indices // weight.shape[1], indices % weight.shape[1]
            starts = torch.zeros(weight.shape[0] + 1, dtype=torch.int64, device=weight.device)
            starts[1:] = torch.bincount(rows, minlength=weight.shape[0]).cumsum(0)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
                zeros = torch.zeros(indices.numel(), dtype=weight.dtype, device=weight.device)
                self.sampled = torch.sparse_csr_tensor(
                    starts, columns, zeros, size=tuple(weight.shape), check_invariants=False
                )

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the entries of ``left.T @ right`` on the support, fp32; left (T, rows), right (T, columns)."""
        if self.sampled is not None and left.dtype == right.dtype == torch.float32:
            sampled = torch.sparse.sampled_addmm(self.sampled, left.t(), right, beta=0.0)
            values: Tensor = sampled.values()
            return values
        key = (left.device, left.dtype)
        size = self.shape.numel()
        if key not in _buffers or _buffers[key].numel() < size:
            _buffers[key] = torch.empty(size, dtype=left.dtype, device=left.device)
        dense = _buffers[key][:size].view(self.shape)
        torch.mm(left.t(), right, out=dense)
        return dense.view(-1)[self.indices].float()


class _SparseProduct(torch.autograd.Function):
    """The plain product of a linear layer, whose backward pass forms value gradients on the support only."""

    @staticmethod
    def forward(  # Any: autograd's context
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        values: Tensor,
        pattern: _Pattern,
        is_conv1d: bool,
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.pattern, ctx.is_conv1d = pattern, is_conv1d
        ctx.bias_type = None if bias is None else bias.dtype
        return functional.linear(inputs, weight.t() if is_conv1d else weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, weight = ctx.saved_tensors
        to_inputs = to_bias = to_values = None
        outer = gradient.reshape(-1, gradient.shape[-1])  # (tokens, out)
        if ctx.needs_input_grad[0]:
            to_inputs = (gradient @ (weight.t() if ctx.is_conv1d else weight)).to(inputs.dtype)
        if ctx.needs_input_grad[2]:
            to_bias = outer.sum(dim=0).to(ctx.bias_type)
        if ctx.needs_input_grad[3]:
            inner = inputs.reshape(-1, inputs.shape[-1]).to(gradient.dtype)  # (tokens, in)
            to_values = ctx.pattern.product(inner, outer) if ctx.is_conv1d else ctx.pattern.product(outer, inner)
        return to_inputs, None, to_bias, to_values, None, None


def _flat(tensor: Tensor) -> Tensor:
    return tensor.data.view(-1)
