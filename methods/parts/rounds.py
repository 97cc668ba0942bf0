"""Rounds: ranks that train one part apart from each other, and the merges that end each round.

Every rank trains scalars of its own mask, or of one that all share, and the head, on its own rows. A merge adds up what
all changed since the last one, or takes the mean, and all go on from there. Masks are known to all, so only values
travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from methods.parts.exchange import Exchange
from methods.parts.kept import KeptPart

Support = dict[str, Tensor]
"""Parameter name to flat int64 indices, ascending."""


class _Aside(NamedTuple):
    """Where a rank stood between two merges."""

    own: list[tuple[Tensor, Tensor]]
    """Each tensor that it trains, or whose statistics move, and what was in it."""
    start: dict[nn.Parameter, Tensor]
    told: list[Tensor]
    sent_bytes: int


class Rounds:
    """One rank's rounds.

    Args:
        part: what it trains.
        exchange: the ranks.
        mean: whether a merge takes the mean of the changes, not their sum.
    """

    def __init__(self, part: KeptPart, exchange: Exchange, *, mean: bool) -> None:
        self.part, self.exchange = part, exchange
        self._scale = 1.0 / exchange.size if mean else 1.0
        self._others: list[dict[str, tuple[Tensor, Tensor]]] = []
        self._shared: list[nn.Parameter] = []
        self._told: list[Tensor] = []
        """What each other rank's scalars have changed by since masks were chosen."""
        self._own: list[nn.Parameter] = []
        self._statistics: list[Tensor] = []
        self._start: dict[nn.Parameter, Tensor] = {}
        self._aside: _Aside | None = None

    def select(self, masks: Sequence[Support]) -> dict[str, Tensor]:
        """Train this rank's mask, of one for each or one for all; return where its scalars were before."""
        mine = self.exchange.index % len(masks)
        before = self.part.reselect(masks[mine])
        others = [
            {name: indices.to(self.part.parameters[name].device) for name, indices in mask.items()}
            for place, mask in enumerate(masks)
            if place != mine
        ]
        for mask in others:
            for name, indices in mask.items():
                self.part.remember(name, indices)
        # What stands there now is what their deltas are added to.
        self._others = [{name: (i, self.part.at(name, i)) for name, i in mask.items()} for mask in others]
        self._told = [torch.cat([torch.zeros_like(base) for _, base in mask.values()]) for mask in self._others]
        return before

    def begin(
        self, own: Mapping[str, nn.Parameter], head: Mapping[str, nn.Parameter], statistics: list[Tensor]
    ) -> None:
        """Begin a round.

        Args:
            own: the values of the part's scalars; all ranks' where they train the same.
            head: what every rank trains.
            statistics: running statistics, which the mean is taken of.
        """
        apart = bool(self._others)
        self._own, self._shared = (
            list(own.values()) if apart else [],
            [*head.values(), *(() if apart else own.values())],
        )
        self._statistics = [now for now in statistics if now.is_floating_point()]  # a count of batches is equal on all
        self._note_start()

    @torch.no_grad()
    def merge(self) -> None:
        """End a round, and begin the next one."""
        self._go_on(self._own, self._changes(self._own))
        self._go_on(self._shared, self._together(self._changes(self._shared)))
        for now, total in zip(self._statistics, self._together(self._statistics), strict=True):
            now.copy_(total / self.exchange.size)
        if self._others:
            self._told = self.exchange.gather(torch.cat([values.detach() for values in self.part.values.values()]))
            self._told.pop(self.exchange.index)
            self._write_others()
        self.part.patch()
        self._note_start()

    def look(self) -> None:
        """Show the merged model for a while; the round goes on with ``take_up``, and nothing of it was sent."""
        own = [(tensor, tensor.detach().clone()) for tensor in (*self._own, *self._shared, *self._statistics)]
        self._aside = _Aside(own, self._start, self._told, self.exchange.sent_bytes)
        self.merge()

    @torch.no_grad()
    def take_up(self) -> None:
        """Go on with the round that was looked at, if one was."""
        if self._aside is None:
            return
        for tensor, before in self._aside.own:
            tensor.copy_(before)
        self._start, self._told, self.exchange.sent_bytes = self._aside[1:]
        self._aside = None
        self._write_others()
        self.part.patch()

    def _note_start(self) -> None:
        trained = (*self._own, *self._shared) if self.exchange.together() else ()
        self._start = {parameter: parameter.detach().clone() for parameter in trained}

    def _changes(self, trained: Sequence[nn.Parameter]) -> list[Tensor]:
        return [parameter - self._start[parameter] for parameter in trained]

    def _go_on(self, trained: Sequence[nn.Parameter], changes: Sequence[Tensor]) -> None:
        for parameter, change in zip(trained, changes, strict=True):
            parameter.copy_(self._start[parameter] + self._scale * change)

    def _together(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums over all ranks, in one exchange."""
        if not tensors:
            return []
        flat = self.exchange.total(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def _write_others(self) -> None:
        for mask, deltas in zip(self._others, self._told, strict=True):
            parts = torch.split(deltas, [len(indices) for indices, _ in mask.values()])
            for (name, (indices, base)), delta in zip(mask.items(), parts, strict=True):
                self.part.write(name, indices, base + delta)


def deal_out(support: Support, masks: int) -> list[Support]:
    """Deal chosen scalars to so many masks in turn, so that none has one more than another where they can be equal."""
    dealt: list[Support] = [{} for _ in range(masks)]
    place = 0
    for name, indices in support.items():
        for mask in range(masks):
            dealt[mask][name] = indices[(mask - place) % masks :: masks].contiguous()
        place += len(indices)
    return dealt
