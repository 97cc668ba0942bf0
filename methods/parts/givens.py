"""Givens: a tree of plane rotations of a layer's inputs, applied exactly as a few batched products of small blocks.

The pairs of the reduction tree on ``d`` coordinates are ``(j - lowbit(j), j)`` for j = 1 .. d-1, where ``lowbit(j)``,
the largest power of two that divides j, is the stride of the pair's stage: exactly d-1 pairs in ceil(log2 d) stages,
each coordinate but the first once as the second of a pair. One pair has the 2x2 block ``[[a1, b1], [a2, b2]]`` and maps
``(u, v)`` to ``(a1 u + a2 v, b1 u + b2 v)``; a rotation by ``theta`` has ``[[cos, -sin], [sin, cos]]``.

With ``R = P_L ... P_2 P_1 diag(g)``, ``P_r`` the blocks of stride ``2^(r-1)`` on the diagonal, a row of inputs becomes
``z = x R``: the largest stride acts first, the scale last. As a column that is ``z = R^T x``, so that the layer
gives ``W R^T x + b`` and its merged weight is ``W R^T``.

Applied stage by stage this is cheap in arithmetic and dear in strided passes over memory. But an aligned run of
``WIDTH`` coordinates is a subtree: only its first coordinate takes part in higher stages. All stages within the runs
are one batched product with ``WIDTH x WIDTH`` blocks, and the first coordinates of the runs make up a tree of the same
kind, smaller by ``WIDTH``: O(WIDTH d) work per row, and nothing of size d x d. A block has ``log2(WIDTH) + 1`` entries
per row, products along the tree's paths, which autograd differentiates; only the products with activations have a
backward pass of their own, which keeps the inputs alone and computes what it needs of the rest again.

Blocks are kept as their difference from the identity: at the start the outputs are those of the backbone bit by
bit, and small angles survive bf16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.random import Streams
from harness.targets import weight_shape
from methods.parts.patching import Patches

WIDTH = 16
"""Coordinates of a block, a power of two: measured against 8, 32 and 64 (see DECISIONS.md)."""


@dataclass(frozen=True)
class Tree:
    """Where the pairs of a tree stand in its blocks."""

    size: int
    """d, the coordinates of the tree."""
    levels: tuple[int, ...]
    """Blocks per level; the first level holds all coordinates, the next one the first coordinate of each block."""
    slots: Tensor
    """(d - 1,) int64: the slot ``block * WIDTH + offset`` of each pair's second coordinate, over all levels."""
    entries: Tensor
    """((log2(WIDTH) + 1) * WIDTH,) int64: the flat positions in a block that are not always zero."""


@cache
@torch.inference_mode(False)  # its tensors serve training later on
def tree(size: int, device: torch.device) -> Tree:
    """Return the tree on ``size`` >= 1 coordinates."""
    levels = [-(-size // WIDTH)]
    while levels[-1] > 1:
        levels.append(-(-levels[-1] // WIDTH))
    slots, first, step = torch.arange(size, device=device), 0, 1
    for blocks in levels:  # a coordinate belongs to the last level that it reaches
        reached = torch.arange(0, size, step, device=device)
        slots[reached] = first + reached // step
        first, step = first + blocks * WIDTH, step * WIDTH
    rows = torch.arange(WIDTH, device=device)
    strides = [2**stage for stage in range(WIDTH.bit_length() - 1)]
    columns = [rows // (2 * stride) * (2 * stride) + stride for stride in strides] + [torch.zeros_like(rows)]
    entries = torch.cat([rows * WIDTH + column for column in columns])
    return Tree(size, tuple(levels), slots[1:], entries)


def rotations(angles: Tensor) -> Tensor:
    """Return the 2x2 blocks (d - 1, 2, 2) of the rotations by ``angles`` (d - 1,), in radians."""
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)


def products(blocks: Tensor, scale: Tensor | None = None) -> tuple[Tensor, ...]:
    """Return what ``rotate`` needs: per level, the blocks of ``R^T`` minus the identity.

    Args:
        blocks: (d - 1, 2, 2), the pair of second coordinate j at index j - 1.
        scale: (d,), the diagonal g; null for ones.

    Returns:
        (blocks of the level, WIDTH, WIDTH) for each level, with gradients to ``blocks`` and ``scale``.
    """
    form = tree(blocks.shape[0] + 1, blocks.device)
    number = sum(form.levels)
    pairs = torch.eye(2, dtype=blocks.dtype, device=blocks.device).flatten().repeat(number * WIDTH, 1)
    pairs = pairs.index_copy(0, form.slots, blocks.reshape(-1, 4)).view(number, WIDTH, 2, 2)
    # Upwards through a block: paths[., i] is the factor with which the subtree's first coordinate reaches row i.
    paths, entries, stride = blocks.new_ones(number, WIDTH, 1), [], 1
    while stride < WIDTH:
        stage = pairs[:, stride :: 2 * stride, :, :, None]  # (number, pairs, first or second, outcome, 1)
        both = (stage * paths.view(number, -1, 1, 2, stride)).flatten(3)  # (number, pairs, 2, 2 * stride)
        paths, stride = both[:, :, 0], 2 * stride
        entries.append(both[:, :, 1].reshape(number, WIDTH))
    entries.append(paths.reshape(number, WIDTH))
    zeros = blocks.new_zeros(number, WIDTH * WIDTH)
    matrices = zeros.index_copy(1, form.entries, torch.cat(entries, dim=1)).view(number, WIDTH, WIDTH)
    lowest, *higher = torch.split(matrices, list(form.levels))
    if scale is not None:
        lowest = lowest * functional.pad(scale, (0, lowest.shape[0] * WIDTH - form.size), value=1.0).view(-1, WIDTH, 1)
    identity = torch.eye(WIDTH, dtype=blocks.dtype, device=blocks.device)
    return tuple(level - identity for level in (lowest, *higher))


def rotate(inputs: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return ``inputs R`` (..., d), with gradients, in the type of the inputs or of autocast.

    Args:
        inputs: (..., d).
        levels: what ``products`` returned.
    """
    device = inputs.device.type
    if torch.is_autocast_enabled(device):  # what the linear layer behind would do first
        inputs = inputs.to(torch.get_autocast_dtype(device))
    rotated: Tensor = _Rotation.apply(inputs.reshape(-1, inputs.shape[-1]), *levels)  # type: ignore[no-untyped-call]
    return rotated.view(inputs.shape)


@torch.no_grad()
def rotate_columns(weight: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return ``weight R^T`` (out, d), the merged weight of ``weight`` (out, d), in its type."""
    rotated = weight.to(levels[0].dtype, copy=True)
    for step, level in _steps(levels):
        rotated[:, ::step] = _product(rotated[:, ::step], level.mT)
    return rotated.to(weight.dtype)


class _Rotation(torch.autograd.Function):
    """The products with activations; what the backward pass needs beside the inputs it computes again."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, *levels: Tensor) -> Tensor:  # Any: autograd's context
        ctx.save_for_backward(inputs, *levels)
        with torch.autocast(inputs.device.type, enabled=False):
            return _product(_entering(inputs, levels)[0], levels[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        (gradient,) = gradients
        inputs, *levels = ctx.saved_tensors
        to_levels: list[Tensor] = []
        with torch.autocast(inputs.device.type, enabled=False):
            for (step, level), entered in zip(_steps(levels), _entering(inputs, levels), strict=True):
                leaving = gradient[:, ::step]
                to_level = torch.bmm(_blocked(leaving, level).mT, _blocked(entered, level))
                to_levels.append(to_level.to(level.dtype))
                product = _product(leaving, level.mT)
                if step == 1:
                    gradient = product
                else:
                    gradient[:, ::step] = product
        return gradient, *to_levels


def _steps(levels: Sequence[Tensor]) -> list[tuple[int, Tensor]]:
    """Return each level with the step between its coordinates, the lowest first."""
    return [(WIDTH**index, level) for index, level in enumerate(levels)]


def _entering(inputs: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
    """Return what each level's product gets, the lowest first: its coordinates after all higher levels."""
    entering = [inputs.clone() if len(levels) > 1 else inputs]
    for step, level in reversed(_steps(levels)[1:]):
        coordinates = entering[0][:, ::step].contiguous()
        entering[0][:, ::step] = _product(coordinates, level)
        entering.insert(1, coordinates)
    return entering


def _product(rows: Tensor, level: Tensor) -> Tensor:
    """Return the rows (number, coordinates) turned by the blocks of one level, which lack the identity."""
    blocks = _blocked(rows, level)
    turned = torch.bmm(blocks, level.mT.to(rows.dtype))
    # The sum also brings the product back into the layout of the rows.
    return (blocks.transpose(0, 1) + turned.transpose(0, 1)).flatten(1)[:, : rows.shape[1]]


def _blocked(rows: Tensor, level: Tensor) -> Tensor:
    """Return the rows (number, coordinates) as (blocks, number, WIDTH), padded with zeros."""
    missing = level.shape[0] * WIDTH - rows.shape[1]
    padded = functional.pad(rows, (0, missing)) if missing else rows
    return padded.view(rows.shape[0], level.shape[0], WIDTH).transpose(0, 1)


class Rotating(Method):
    """A method that turns the inputs of every targeted linear layer; subclasses say with which blocks."""

    def starts(self, size: int) -> dict[str, Tensor]:
        """Return the starting values, fp32, of one layer with ``size`` inputs, by the name of the part."""
        raise NotImplementedError

    def levels(self, own: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the ``products`` of one layer from its trained parts."""
        raise NotImplementedError

    def count(self, model: nn.Module, plan: Plan) -> int:
        name = type(self).__name__
        if not plan.targets.modules:
            raise NotApplicable(f"{name} turns the inputs of linear layers; targets {plan.targets.name!r} names none")
        sizes = [weight_shape(module)[1] for module in plan.targets.modules.values()]
        if max(sizes) == 1:
            raise NotApplicable(f"{name} turns pairs of inputs; each targeted layer has 1, smallest is 2")
        return sum(start.numel() for size in sizes for start in self.starts(size).values())

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self.count(model, plan)
        self._patches, self._modules = Patches(), plan.targets.modules
        self.own: dict[str, dict[str, nn.Parameter]] = {}
        for name, module in self._modules.items():
            starts = self.starts(weight_shape(module)[1])
            weight: Any = module.weight  # Any: a module's attributes are typed as tensor or module
            self.own[name] = {part: nn.Parameter(start.to(weight.device)) for part, start in starts.items()}
            self._patch(name, module)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {f"{name}.{part}": value for name, own in self.own.items() for part, value in own.items()}

    def parameter_groups(self) -> list[dict[str, Any]]:  # Any: as in the contract
        # Decay would pull blocks and scales to zero, not to the identity that they start from.
        own = list(self.own_parameters().values())
        others = [parameter for name, parameter in self.updated().items() if name not in self.own_parameters()]
        return [{"params": own, "weight_decay": 0.0}, {"params": others}]

    def merge(self, model: nn.Module) -> None:
        for name, module in self._modules.items():
            weight: Any = module.weight  # Any: as above
            weight = weight.data.t() if isinstance(module, Conv1D) else weight.data
            weight.copy_(rotate_columns(weight, self.levels(self.own[name])))
        self.remove(model)

    def remove(self, model: nn.Module) -> None:
        self._patches.remove()

    def _patch(self, name: str, module: nn.Module) -> None:
        def forward(module: nn.Module, inputs: Tensor) -> Tensor:
            output: Tensor = type(module).forward(module, rotate(inputs, self.levels(self.own[name])))
            return output

        self._patches.patch(module, forward)
