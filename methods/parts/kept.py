"""The kept part: a sparse part whose scalars keep their values where the selection moves on.

A sparse part alone puts a scalar back that leaves its support. This one leaves it as it is trained, so over a training
more scalars move than are trained at a time. Of each it remembers what the backbone had there, and what it has come to,
in fp32 whatever the frozen weights' type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from methods.parts.sparse import SparsePart

Scalars = tuple[Tensor, Tensor]
"""Flat int64 indices, ascending, and fp32 values."""


class _Moved(NamedTuple):
    indices: Tensor
    """Of all scalars that were ever trained or written, ascending."""
    first: Tensor
    """What the backbone had there, in its own type."""
    now: Tensor
    """What they have come to, the present deltas left out."""


class KeptPart(SparsePart):
    """The trained scalars of one model, and all that were trained before them; see ``SparsePart``."""

    def __init__(self, model: nn.Module, support: Mapping[str, Tensor]) -> None:
        super().__init__(model, support)
        self._moved = {n: _as_found(self.indices[n], base) for n, base in self.base.items()}
        self.base = {name: base.float() for name, base in self.base.items()}

    @torch.no_grad()
    def reselect(self, support: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train other scalars of the same tensors: what the present ones have come to stays, and all deltas begin at 0.

        Args, returns and raises are those of ``SparsePart.reselect``.
        """
        for name, values in self.values.items():
            self.base[name] = self.base[name] + values
            self._note(name, self.indices[name], self.base[name])
            values.data.zero_()
        for name, indices in support.items():
            self.remember(name, indices)
        before = super().reselect(support)
        self.base = {name: self.at(name, indices) for name, indices in self.indices.items()}
        return before

    def at(self, name: str, indices: Tensor) -> Tensor:
        """Return what some scalars that moved, or are trained, have come to, the present deltas left out."""
        moved = self._moved[name]
        return moved.now[torch.searchsorted(moved.indices, indices.to(moved.indices.device))]

    def remember(self, name: str, indices: Tensor) -> None:
        """Take in scalars that are to move for the first time, as the backbone has them."""
        known, first, now = self._moved[name]
        indices = indices.to(known.device)
        new = indices[~torch.isin(indices, known)]
        if len(new):
            order = torch.cat([known, new]).argsort()
            had = self._flat(name)[new]
            both = torch.cat([known, new]), torch.cat([first, had]), torch.cat([now, had.float()])
            self._moved[name] = _Moved(*(tensor[order] for tensor in both))

    @torch.no_grad()
    def write(self, name: str, indices: Tensor, values: Tensor) -> None:
        """Write scalars that are trained elsewhere, fp32, and lie outside the support."""
        self.remember(name, indices)
        self._note(name, indices, values)
        flat = self._flat(name)
        flat[indices] = values.to(flat.dtype)

    def moved(self, name: str) -> Scalars:
        """Return where a tensor is no longer the backbone's, the present deltas left out, and what stands there."""
        indices, first, now = self._moved[name]
        differs = now != first.float()
        return indices[differs], now[differs]

    @torch.no_grad()
    def restore(self, moved: Mapping[str, Scalars]) -> None:
        """Put the backbone back, with no scalar trained, and then what ``moved`` gave."""
        self.reselect({})
        for name, (indices, first, _) in self._moved.items():
            self._flat(name)[indices] = first
            self._moved[name] = _as_found(indices, first)
        for name, (indices, values) in moved.items():
            device = self.parameters[name].device
            self.write(name, indices.long().to(device), values.float().to(device))

    def remove(self) -> None:
        """Take everything out again; the backbone is bit-equal to what it was."""
        self.restore({})
        self.release()

    def _flat(self, name: str) -> Tensor:
        return self.parameters[name].data.view(-1)

    def _note(self, name: str, indices: Tensor, values: Tensor) -> None:
        moved = self._moved[name]
        moved.now[torch.searchsorted(moved.indices, indices)] = values


def _as_found(indices: Tensor, first: Tensor) -> _Moved:
    return _Moved(indices, first, first.to(torch.float32, copy=True))


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
