"""Shards: ranks that divide one run's backbone among their devices, for one that fits none of them whole.

Each rank holds its share of every tensor, trained or frozen, and of the gradients and the optimiser's state. A block of
layers is put together on a device while it computes, and taken apart again (torch's ``fully_shard``). So what is saved
is the devices' memory: every rank still loads the whole backbone into its machine's, where weight files are mapped.

A method can be trained so if nothing but autograd and the optimiser ever touches its tensors: that is asked of its
class (which hooks it has) and of what it attached (where its tensors are held), and never of its name.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.errors import NotSharded
from harness.method import Method
from harness.protocol import Examples
from runners.fit import Trainer
from runners.ranks import Ranks

HOOKS = (
    "calibrate",
    "before_epoch",
    "after_backward",
    "after_step",
    "extra_loss",
    "buffers",
    "load_buffers",
    "loaded",
    "finalize",
    "zeros",
)
"""Those in which a method reads or changes tensors, which it would find in pieces."""


class Held(NamedTuple):
    """How many scalars of a model one rank holds between passes."""

    here: int
    whole: int
    ranks: int

    def note(self) -> str:
        """Return what the record says of it."""
        return f"sharded over {self.ranks} ranks: of the model's {self.whole} scalars the first held {self.here}"


@dataclass(frozen=True)
class Shards(Ranks):
    """Ranks of which each holds a share of every tensor."""

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave gradients as they are: the backward pass has added them up, each share where it is held."""

    def shard(self, model: nn.Module, method: Method, device: str) -> Held:
        """Divide a model's tensors, and have the method train the shares.

        There is no way back: after the run the model is of no further use.

        Args:
            model: the whole one, on any device.
            method: attached to it.
            device: the type of the ranks' own devices, to which the shares go.

        Raises:
            NotSharded: if some of the method's tensors would stay whole.
        """
        gc.collect()  # hooks make cycles, by which an earlier run's shares may still be held
        check(type(method))
        inside = {id(parameter) for parameter in model.parameters()}
        beside = [name for name, parameter in method.updated().items() if id(parameter) not in inside]
        if beside:
            raise NotSharded(_refusal(type(method), f"holds {beside[0]} beside the modules of the model"))
        whole = weakref.WeakSet(model.parameters())
        _divide(model, self.count, device, method)
        if whole:
            gc.collect()
        if whole:
            raise NotSharded(_refusal(type(method), f"keeps {len(whole)} of the model's tensors for itself"))
        parameters = list(model.parameters())
        here = sum(parameter.to_local().numel() for parameter in parameters)  # type: ignore[attr-defined]  # DTensors
        return Held(here, sum(parameter.numel() for parameter in parameters), self.count)

    def whole(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put a state together, tensor by tensor, in the memory of the first rank's machine; others get nothing."""
        from torch.distributed.tensor import DTensor

        found = dict[str, Tensor]()
        for name, tensor in state.items():
            put_together = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.index == 0:
                found[name] = put_together.cpu()
        return found


@dataclass(frozen=True)
class ShardedTrainer(Trainer):
    """A training in which every rank goes through the model equally often, since each pass needs all their shares."""

    def _backward(self, train: Examples, rows: NDArray[np.int64], parts: int) -> Tensor:
        """Add up the gradients of the mean loss of all ranks' rows; one without rows goes along with a weight of 0.

        Memory that runs out ends the attempt: the others have gone on, and no rank can take smaller parts alone.
        """
        total = torch.zeros((), device=self.evaluator.device)
        whole, mine = self.protocol.weight(train, rows.tolist()), self.ranks.share(rows)
        for part in np.array_split(mine, min(parts, math.ceil(len(rows) / self.ranks.count))):
            weight = self.protocol.weight(train, part.tolist()) / whole if len(part) else 0.0
            loss = self.loss(self.collate(train, part if len(part) else rows[:1])) * weight
            total += loss.detach()
            loss.backward()  # type: ignore[no-untyped-call]
        return total


def check(kind: type[Method]) -> None:
    """Find out from a method's class that it can be trained in shares.

    Raises:
        NotSharded: naming the hooks that would meet pieces of tensors.
    """
    own = [hook for hook in HOOKS if getattr(kind, hook) is not getattr(Method, hook)]
    if own:
        raise NotSharded(_refusal(kind, f"reads or changes whole tensors ({', '.join(own)})"))


def _refusal(kind: type[Method], why: str) -> str:
    return f"{kind.__name__} cannot be trained sharded: it {why}; train it without resources.sharded"


def _divide(model: nn.Module, count: int, device: str, method: Method) -> None:
    """Put shares in place of a model's parameters, in its modules and wherever the method's dictionaries hold them.

    One unit after another, so that no device ever holds more than one of them whole.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device, (count,))
    for unit in list(_units(model)):
        before = list(_places(unit))
        divided = fully_shard(unit, mesh=mesh, reshard_after_forward=True)
        # The loss of each rank is its part of the whole batch's: shares of gradients are summed and not averaged.
        divided.set_gradient_divide_factor(1.0)
        divided.set_force_sum_reduction_for_comms(True)
        _exchange(method, {id(place.parameter): place.module._parameters[place.name] for place in before})


def _exchange(method: Method, shares: Mapping[int, nn.Parameter | None]) -> None:
    """Let a method hold shares instead of the tensors with these ids; a base's or a subclass's dictionaries hold them.

    They are changed where they are: one of them is the plan's own.
    """
    for held in (value for value in vars(method).values() if isinstance(value, dict)):
        for name, value in held.items():
            if id(value) in shares:
                held[name] = shares[id(value)]


class _Place(NamedTuple):
    """Where a parameter is registered; a tied one has several places."""

    module: nn.Module
    name: str
    parameter: nn.Parameter


def _places(unit: nn.Module) -> Iterator[_Place]:
    for module in unit.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield _Place(module, name, parameter)


def _units(model: nn.Module) -> Iterator[nn.Module]:
    """Yield what is put together at a time: blocks, then the model for all else; tied tensors belong to one unit."""
    everywhere = Counter(id(place.parameter) for place in _places(model))
    for block in dict.fromkeys(_blocks(model)):
        inside = Counter(id(place.parameter) for place in _places(block))
        if inside and all(everywhere[key] == times for key, times in inside.items()):
            yield block
    yield model


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the elements of the outermost lists of modules, which transformers' models run one after another."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
