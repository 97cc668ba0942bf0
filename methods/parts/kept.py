"""The kept part: a sparse part whose scalars keep their values where the selection moves on.

A sparse part alone puts a scalar back that leaves its support. This one leaves it as it is trained, so over a training
more scalars move than are trained at a time, and remembers of each what the backbone had there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from methods.parts.sparse import SparsePart

Scalars = tuple[Tensor, Tensor]
"""Flat int64 indices, ascending, and the values there in the tensor's own type."""


class KeptPart(SparsePart):
    """The trained scalars of one model, and all that were trained before them; see ``SparsePart``."""

    def __init__(self, model: nn.Module, support: Mapping[str, Tensor]) -> None:
        super().__init__(model, support)
        self._first: dict[str, Scalars] = {name: (self.indices[name], base) for name, base in self.base.items()}

    @torch.no_grad()
    def reselect(self, support: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train other scalars of the same tensors: what the present ones have come to stays, and all deltas begin at 0.

        Args, returns and raises are those of ``SparsePart.reselect``.
        """
        for name, values in self.values.items():
            self.base[name] = self._flat(name)[self.indices[name]]
            values.data.zero_()
        for name, indices in support.items():
            self._remember(name, indices)
        return super().reselect(support)

    def at(self, name: str, indices: Tensor) -> Tensor:
        """Return what stands at some scalars of a tensor."""
        return self._flat(name)[indices.to(self._flat(name).device)]

    @torch.no_grad()
    def write(self, name: str, indices: Tensor, values: Tensor) -> None:
        """Write scalars that are trained elsewhere, and lie outside the support."""
        self._remember(name, indices)
        flat = self._flat(name)
        flat[indices] = values.to(flat.dtype)

    @torch.no_grad()
    def moved(self, name: str) -> Scalars:
        """Return where a tensor is no longer the backbone's, the present deltas left out, and what stands there."""
        indices, first = self._first[name]
        flat = self._flat(name).clone()
        flat[self.indices[name]] = self.base[name]
        now = flat[indices]
        return indices[now != first], now[now != first]

    @torch.no_grad()
    def restore(self, moved: Mapping[str, Scalars]) -> None:
        """Put the backbone back, with no scalar trained, and then what ``moved`` gave."""
        self.reselect({})
        for name, (indices, first) in self._first.items():
            self._flat(name)[indices] = first
        for name, (indices, values) in moved.items():
            device = self.parameters[name].device
            self.write(name, indices.long().to(device), values.to(device))

    def remove(self) -> None:
        """Take everything out again; the backbone is bit-equal to what it was."""
        self.restore({})
        self.release()

    def _flat(self, name: str) -> Tensor:
        return self.parameters[name].data.view(-1)

    def _remember(self, name: str, indices: Tensor) -> None:
        """Note what the backbone has at scalars that are to move for the first time."""
        known, first = self._first[name]
        indices = indices.to(known.device)
        new = indices[~torch.isin(indices, known)]
        if len(new):
            order = torch.cat([known, new]).argsort()
            both = torch.cat([first, self._flat(name)[new]])
            self._first[name] = (torch.cat([known, new])[order], both[order])


def check_indices(name: str, indices: Tensor, size: int) -> None:
    """Check the places that a file gives for a tensor of ``size`` scalars.

    Raises:
        ValueError: if they are not places of such a tensor, each named once and ascending.
    """
    ascending = indices.dim() == 1 and bool((indices[1:] > indices[:-1]).all())
    if not ascending or (len(indices) and not 0 <= indices[0] <= indices[-1] < size):
        raise ValueError(
            f"this trained part does not fit this backbone; {name} is not ascending within the {size} scalars that the "
            f"tensor has here"
        )
