"""Products whose backward pass forms the gradient of a weight on a support only, never the dense one.

The forward pass is the plain one of the layer. The gradient of entry (r, c) of a weight is ``sum_t dY[t, r] X[t, c]``
over the tokens t; a convolution is the same with one token per place of its output and the window under it as X. Which
form computes the entries fastest depends on how many there are:

* gathered: columns of X and dY are copied, multiplied and summed, as long as that copies less than a transposition;
* sampled: ``sampled_addmm`` over blocks of tokens, small enough for the blocks to stay in the processor's cache;
* dense: one product into a buffer that all layers of a part share, from which the entries are gathered.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Limits(NamedTuple):
    """Up to where a form is the fastest, measured (see DECISIONS.md)."""

    gathered: float
    """Entries, as a share of the weight's rows and columns together."""
    sampled: float
    """Density of the support."""
    sampled_convolution: float = 0.03
    """Density of a convolution's support; each token is copied as a whole window first."""


ON_CPU = {torch.float32: Limits(1 / 3, 0.1), torch.bfloat16: Limits(1 / 10, 0.03)}
ELSEWHERE = Limits(1 / 10, 0.0, 0.0)
"""On a GPU a dense product costs little, and a sampled one is not made for it."""
SAMPLED_CHANNELS = 128
"""Convolutions with fewer output channels are dense: copying the windows costs more than the product."""
TOKENS = 256
"""Tokens in a block of the gathered and the sampled form on a CPU."""


class Scratch:
    """One buffer for the dense products of all layers of a part; it grows to the largest."""

    def __init__(self) -> None:
        self._buffers: dict[torch.dtype, Tensor] = {}

    def matrix(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return an uninitialised matrix of the type and on the device of ``like``, valid until the next call."""
        size = rows * columns
        if like.dtype not in self._buffers or self._buffers[like.dtype].numel() < size:
            self._buffers[like.dtype] = like.new_empty(size)
        return self._buffers[like.dtype][:size].view(rows, columns)

    def free(self) -> None:
        """Let the memory go."""
        self._buffers = {}


class Support:
    """The entries of one weight that are trained, and the products that give its gradient there.

    Args:
        shape: of the weight; dimensions after the first count as columns.
        indices: flat int64 indices, ascending.
        scratch: the part's buffer.
    """

    def __init__(self, shape: torch.Size, indices: Tensor, scratch: Scratch) -> None:
        self.rows, self.columns = shape[0], shape[1:].numel()
        self._scratch = scratch
        self.select(indices)

    def select(self, indices: Tensor) -> None:
        """Take other entries."""
        self.indices = indices
        edges = torch.arange(self.rows + 1, device=indices.device) * self.columns
        self._starts = torch.searchsorted(indices, edges)  # where each row begins among the indices

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the entries of ``left.T @ right``, fp32; left (T, rows) and right (T, columns) of one type."""
        count, size, limits = self.indices.numel(), self.rows * self.columns, _limits(left)
        if count <= limits.gathered * (self.rows + self.columns):
            return self._gathered(left, right)
        if count <= limits.sampled * size:
            blocks = zip(torch.split(left, TOKENS), torch.split(right, TOKENS), strict=True)
            return self.sampled((block.t(), other.t()) for block, other in blocks)
        if count == size:
            return torch.mm(left.t(), right).view(-1).float()
        return self.entries(torch.mm(left.t(), right, out=self._scratch.matrix(self.rows, self.columns, left)))

    def samples_convolution(self, inputs: Tensor) -> bool:
        """Return whether the sampled form is the fastest for a convolution of ``inputs``."""
        few = self.indices.numel() <= _limits(inputs).sampled_convolution * self.rows * self.columns
        return few and self.rows >= SAMPLED_CHANNELS

    def entries(self, dense: Tensor) -> Tensor:
        """Return the entries of a tensor of the weight's size, fp32."""
        return dense.view(-1).index_select(0, self.indices).float()

    def sampled(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the entries of the sum of ``left @ right.T`` over blocks, fp32; left (rows, t), right (columns, t)."""
        zeros = torch.zeros(self.indices.numel())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
            # Columns are formed anew each time: kept, they would be the largest part of a mask's memory.
            total = torch.sparse_csr_tensor(
                self._starts,
                self.indices % self.columns,
                zeros,
                size=(self.rows, self.columns),
                check_invariants=False,
            )
        for left, right in blocks:
            torch.sparse.sampled_addmm(total, left.float().contiguous(), right.float().contiguous().t(), out=total)
        values: Tensor = total.values()
        return values

    def _gathered(self, left: Tensor, right: Tensor) -> Tensor:
        rows, columns = self.indices // self.columns, self.indices % self.columns
        total = torch.zeros(self.indices.numel(), device=left.device)
        tokens = TOKENS if left.device.type == "cpu" else max(1, len(left))
        for block, other in zip(torch.split(left, tokens), torch.split(right, tokens), strict=True):
            total += block.index_select(1, rows).float().mul_(other.index_select(1, columns)).sum(dim=0)
        return total


def _limits(inputs: Tensor) -> Limits:
    return ON_CPU.get(inputs.dtype, ELSEWHERE) if inputs.device.type == "cpu" else ELSEWHERE


class Geometry(NamedTuple):
    """How a convolution in two dimensions moves."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def linear(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, values: Tensor, support: Support, turned: bool = False
) -> Tensor:
    """Return ``inputs @ weight.T + bias``, from which ``values`` get the weight's gradient on their support.

    Args:
        inputs: (..., in).
        weight: (out, in), or (in, out) where ``turned``, as in a Conv1D; it gets no gradient.
        bias: (out), with its ordinary gradient where it needs one.
        values: fp32, one for each entry of the support.
        support: the entries of ``weight``.
        turned: which way round the weight is kept.
    """
    output: Tensor = _Linear.apply(_autocast(inputs), weight, bias, values, support, turned)  # type: ignore[no-untyped-call]
    return output


def convolution(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, values: Tensor, support: Support, geometry: Geometry
) -> Tensor:
    """Return the convolution of ``inputs`` (rows, in, height, width), as ``linear`` does for a product."""
    output: Tensor = _Convolution.apply(_autocast(inputs), weight, bias, values, support, geometry)  # type: ignore[no-untyped-call]
    return output


def _autocast(inputs: Tensor) -> Tensor:
    """Cast as autocast would within the product, so that what is saved for the backward pass is the smaller copy."""
    kind = inputs.device.type
    return inputs.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else inputs


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(  # Any, here and below: autograd's context
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        values: Tensor,
        support: Support,
        turned: bool,
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.support, ctx.turned = support, turned
        ctx.bias_type = None if bias is None else bias.dtype
        return functional.linear(inputs, weight.t() if turned else weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, weight = ctx.saved_tensors
        to_inputs = to_bias = to_values = None
        outer = gradient.reshape(-1, gradient.shape[-1])  # (tokens, out)
        if ctx.needs_input_grad[0]:
            matrix = weight.to(outer.dtype)  # another type only where autocast meets fp32 weights
            to_inputs = torch.mm(outer, matrix.t() if ctx.turned else matrix).view(inputs.shape)
        if ctx.needs_input_grad[2]:
            to_bias = outer.sum(dim=0, dtype=ctx.bias_type)
        if ctx.needs_input_grad[3]:
            inner = inputs.reshape(-1, inputs.shape[-1])  # (tokens, in)
            to_values = ctx.support.product(inner, outer) if ctx.turned else ctx.support.product(outer, inner)
        return to_inputs, None, to_bias, to_values, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        values: Tensor,
        support: Support,
        geometry: Geometry,
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.support, ctx.geometry = support, geometry
        ctx.bias_type = None if bias is None else bias.dtype
        return functional.conv2d(inputs, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, weight = ctx.saved_tensors
        support, (stride, padding, dilation, groups) = ctx.support, ctx.geometry
        to_inputs = to_bias = to_values = dense = None
        whole = ctx.needs_input_grad[3] and not (support.samples_convolution(inputs) and groups == 1)
        if ctx.needs_input_grad[0] or whole:
            to_inputs, dense, _ = torch.ops.aten.convolution_backward(
                gradient, inputs, weight.to(gradient.dtype), None, stride, padding, dilation,
                False, [0, 0], groups, [ctx.needs_input_grad[0], whole, False],
            )  # fmt: skip
        if ctx.needs_input_grad[2]:
            to_bias = gradient.sum(dim=(0, 2, 3), dtype=ctx.bias_type)
        if dense is not None:
            to_values = support.entries(dense.contiguous())
        elif ctx.needs_input_grad[3]:
            window = {"kernel_size": weight.shape[2:], "stride": stride, "padding": padding, "dilation": dilation}
            # Both are (channels, places) for one image, which is how the sampled form wants them.
            to_values = support.sampled(
                (slopes.flatten(1), functional.unfold(image, **window))
                for slopes, image in zip(gradient, inputs, strict=True)
            )
        return to_inputs, None, to_bias, to_values, None, None
