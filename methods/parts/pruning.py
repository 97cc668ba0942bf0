"""Pruning while training: of each targeted weight the smallest scores are zeroed, more and more of them by a schedule.

Per weight there is the effective weight (M o W', in the frozen weights' type) and one byte per scalar for the mask M.
Both change once per optimiser step and are cached between, so that forward and evaluation are the plain product with
the effective weight. The backward pass forms the gradient G of the effective weight, one matrix at a time, and turns
it into the trained parameters' gradients at once, so that no dense gradient is kept for frozen weights.

The pruned share follows Zhu and Gupta's cubic, https://arxiv.org/abs/1710.01878, as PST's official code has it.
Methods differ only in their weight W', their scores S and their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from harness.targets import CONVOLUTIONS, LINEAR_TYPES
from methods.parts.patching import Patches

WARM_UP, COOL_DOWN = 0.1, 0.3
"""Shares of all steps before pruning begins and after it has reached its target."""


class PruningConfig(Config):
    """What every pruning method lets a suite choose."""

    sparsity: float = Field(default=0.9, ge=0, lt=1, description="share of each targeted weight that ends as zeros")
    train_head: bool = Field(default=True, description="whether the optimiser updates the head")


@dataclass(frozen=True)
class Schedule:
    """The share of zeros after each optimiser step: none in the warm-up, a cubic, the target in the cool-down."""

    target: float
    total_steps: int

    def sparsity(self, step: int) -> float:
        """Return the share of zeros after ``step`` completed steps, in [0, target]."""
        begin, end = WARM_UP * self.total_steps, (1 - COOL_DOWN) * self.total_steps
        if step <= begin:
            return 0.0
        if step >= end:
            return self.target
        return self.target * (1 - (1 - (step - begin) / (end - begin)) ** 3)

    def cooling(self, step: int) -> bool:
        """Return whether ``step`` lies in the cool-down, past its first moment, as the official code has it."""
        return step > (1 - COOL_DOWN) * self.total_steps


def keep_largest(scores: Tensor, zeros: int) -> Tensor:
    """Return a mask of the shape of ``scores`` (fp32) that is false at exactly the ``zeros`` smallest.

    Of equal scores those with the smaller flat index are dropped first.
    """
    flat = scores.reshape(-1)
    if not 0 < zeros < flat.numel():
        return torch.full_like(scores, not zeros, dtype=torch.bool)
    threshold = _nth_smallest(flat, zeros)
    kept = flat > threshold
    if int(torch.count_nonzero(kept)) != flat.numel() - zeros:
        tied = torch.nonzero(flat == threshold).squeeze(1)
        kept[tied[zeros - int(torch.count_nonzero(flat < threshold)) :]] = True
    return kept.view_as(scores)


def _nth_smallest(flat: Tensor, nth: int) -> Tensor:
    """Return the ``nth`` smallest value (from 1) without a full sort."""
    if flat.device.type == "cpu":  # vectorised quickselect, 14 to 20 times as fast as torch's (DECISIONS.md)
        return torch.from_numpy(np.partition(flat.numpy(), nth - 1)[nth - 1 : nth])
    return flat.topk(flat.numel() - nth + 1, sorted=False).values.min()


class PrunedWeight:
    """One pruned weight; a subclass says what it is before pruning, how it is scored, and what is trained.

    Args:
        parameter: the backbone's weight, still in the frozen weights' type; matrices are as stored, a Conv1D's
            transposed.
    """

    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter = parameter
        self.own: dict[str, nn.Parameter] = {}
        """What is trained beside the backbone's parameters, fp32."""
        self.effective = parameter.detach().clone()
        self.kept = torch.ones_like(self.effective, dtype=torch.bool)

    def weight(self) -> Tensor:
        """Return the weight before pruning, W' (fp32, as stored)."""
        return self.parameter.detach()

    def scores(self, weight: Tensor) -> Tensor:
        """Return the scores S (fp32, as stored) of W'."""
        raise NotImplementedError

    def trained(self) -> tuple[nn.Parameter, ...]:
        """Return the parameters that the effective weight's gradient goes to."""
        raise NotImplementedError

    def gradients(self, gradient: Tensor, *trained: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of ``trained`` for that of the effective weight (fp32, as stored)."""
        raise NotImplementedError

    @torch.no_grad()
    def update(self, sparsity: float) -> None:
        """Score the weight anew and zero exactly the ``int(size * sparsity)`` smallest."""
        weight = self.weight()
        zeros = int(weight.numel() * sparsity)
        if zeros:
            self.kept = keep_largest(self.scores(weight), zeros)
            weight = weight * self.kept  # not a fill: a NaN must show in the loss, under the mask too
        else:
            self.kept.fill_(True)
        self.effective.copy_(weight)  # in place: a graph that still needs the old one fails instead of going wrong

    def __call__(self) -> Tensor:
        """Return the effective weight, with gradients where they are wanted."""
        if not torch.is_grad_enabled():
            return self.effective
        masked: Tensor = _Masked.apply(self, *self.trained())  # type: ignore[no-untyped-call]
        return masked


class _Masked(torch.autograd.Function):
    """The cached effective weight as a function of what is trained."""

    @staticmethod
    def forward(ctx: Any, pruned: PrunedWeight, *trained: Tensor) -> Tensor:  # Any: autograd's context
        ctx.pruned = pruned
        ctx.save_for_backward(*trained)
        return pruned.effective.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.pruned.gradients(gradients[0].float(), *ctx.saved_tensors)


class Pruning(Method):
    """The base of all pruning methods; a subclass makes its pruned weights in ``prepare``."""

    Config = PruningConfig
    config: PruningConfig
    KINDS: tuple[type[nn.Module], ...] = LINEAR_TYPES
    """The layers whose weights it can prune."""

    def __init__(self, config: PruningConfig | None = None) -> None:
        super().__init__(config)
        self.trains_head = self.config.train_head
        self._level = 0.0

    def prepare(self, model: nn.Module, plan: Plan, streams: Streams) -> dict[str, PrunedWeight]:
        """Return the pruned weights by parameter name, and mark what is trained."""
        raise NotImplementedError

    def layers(self, model: nn.Module, plan: Plan) -> dict[str, nn.Module]:
        """Return the layers to prune by the name of their weight; the meta device will do.

        Raises:
            NotApplicable: where a targeted tensor is not the weight of a layer that can be pruned, or none is targeted.
        """
        found = {}
        allowed = ", ".join(kind.__name__ for kind in self.KINDS)
        for name in plan.targets.tensors:
            place, _, attribute = name.rpartition(".")
            module = model.get_submodule(place)
            if type(module) not in self.KINDS or attribute != "weight":  # a subclass may compute something else
                raise NotApplicable(
                    f"{type(self).__name__} prunes the weights of {allowed}; targets {plan.targets.name!r} names "
                    f"{name} of a {type(module).__name__}"
                )
            found[name] = module
        if not found:
            raise NotApplicable(f"{type(self).__name__} prunes weights; targets {plan.targets.name!r} names none")
        return found

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        layers = self.layers(model, plan)
        self.count(model, plan)  # refuses a size that cannot be
        self._level = 0.0
        self._schedule = Schedule(self.config.sparsity, plan.total_steps)
        self._weights = self.prepare(model, plan, streams)
        self._patches = Patches()
        for name, layer in layers.items():
            self._patches.patch(layer, _forward(self._weights[name]))

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {f"{name}@{role}": own for name, weight in self._weights.items() for role, own in weight.own.items()}

    def after_step(self, step: int) -> None:
        self._level = self._schedule.sparsity(step)
        self.loaded()

    def selectable(self, step: int) -> bool:
        """Return whether the full sparsity has been reached: only then is a state a result."""
        return self._schedule.cooling(step)

    def buffers(self) -> dict[str, Tensor]:
        """Return the share of zeros: with it a fresh backbone finds the same masks, whatever its own plan."""
        return {"sparsity": torch.tensor(self._level, dtype=torch.float64)}

    def load_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        super().load_buffers(buffers)
        level = float(buffers["sparsity"])
        if not 0 <= level < 1:
            raise ValueError(f"this trained part names a sparsity of {level}; it lies in [0, 1): the file is damaged")
        self._level = level

    def loaded(self) -> None:
        """Bring masks and effective weights in line with the trained part."""
        for weight in self._weights.values():
            weight.update(self._level)

    def stored_bits(self) -> int:
        """Return 32 bits per trained scalar and 64 for the share of zeros; masks follow from these and the backbone.

        That is the trained part. The merged model is dense storage with zeros in it; no sparse format is assumed.
        """
        return super().stored_bits() + 64

    def zeros(self) -> tuple[int, int]:
        """Return (exact zeros, scalars) of the targeted weights, zeros that the backbone had included."""
        effective = [weight.effective for weight in self._weights.values()]
        total = sum(tensor.numel() for tensor in effective)
        return total - sum(int(torch.count_nonzero(tensor)) for tensor in effective), total

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Write the effective weights, zeros included, into the backbone."""
        for weight in self._weights.values():
            weight.parameter.copy_(weight.effective)
        self._patches.remove()

    def remove(self, model: nn.Module) -> None:
        self._patches.remove()


def _forward(weight: PrunedWeight) -> Callable[[nn.Module, Tensor], Tensor]:
    def forward(module: Any, inputs: Tensor) -> Tensor:  # Any: a module's attributes are typed as tensor or module
        effective, bias = weight(), module.bias
        if isinstance(module, CONVOLUTIONS):
            convolved: Tensor = module._conv_forward(inputs, effective, bias)
            return convolved
        if isinstance(module, Conv1D):
            # As transformers has it; a transposed weight in a linear product would get a strided gradient.
            flat = torch.addmm(bias, inputs.reshape(-1, inputs.shape[-1]), effective)
            return flat.view(*inputs.shape[:-1], -1)
        return functional.linear(inputs, effective, bias)

    return forward
