"""Sparse updates: FISH Mask's two further settings, distributed training and checkpoints that hold what changed.

Paper: Sung, Nair, Raffel, Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021,
       https://arxiv.org/abs/2111.09839 (sections on distributed training and on efficient checkpointing)
Code: https://github.com/varunnair18/FISH
Maths: as FISH Mask, W' = W + S on the k scalars of largest F_i. Rank j of w trains k scalars of its own, S_j, for m
steps on its own rows; then W <- W + sum_j (S_j - S_j before), or the mean of these differences, and all go on from
there. The w * k best scalars are dealt to the ranks in turn (disjoint masks), or all train the k best (equal masks).
Count: k of each rank, exactly the budget (with charge_head the budget less the head)
Starts at identity: yes, S = 0.
Differs from the paper: masks are chosen anew before an epoch, right after a merge, or never (the paper's distributed
runs do so every ten merges); the best scalars are dealt in the order of their places, not of their scores; running
statistics of batch norms are averaged at merges; no epochs of dense training come first; the head is not charged unless
charge_head says so. Scalars that leave a mask stay as they are, and new ones begin with zero moments at their tensor's
step count. After an epoch the merged model is looked at; unless a merge was due, ranks go on from where they were. A
rank's gradient is the number of ranks times its rows' share of the mean loss of the batch, so the batch is that of
all ranks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Method, Plan, Samples
from harness.random import Streams
from methods.parts.exchange import Exchange
from methods.parts.kept import KeptPart, check_indices
from methods.parts.masking import MaskConfig, Masking, deal, empty_supports, num_targeted, targeted_sizes
from methods.parts.scores import accumulate, add_square, best

CARD = {
    "name": "sparse_update",
    "title": "Sparse updates",
    "paper": "Sung et al., Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021",
    "url": "https://arxiv.org/abs/2111.09839",
    "year": 2021,
    "code": "https://github.com/varunnair18/FISH",
    "version": 1,
    "count": "k of each rank, exactly the budget",
    "starts_at_identity": True,
    "differs": [
        "masks are chosen anew every epoch or never, not every ten merges",
        "the best scalars are dealt to disjoint masks by their places",
        "running statistics of batch norms are averaged at merges",
        "no epochs of dense training come first",
        "the head is not charged to the budget unless charge_head says so",
        "with reselect, a new scalar has zero moments at its tensor's step count",
    ],
    "tuned": {"lr": [1e-4, 3e-2]},
    "budget": "count",
}
VALUE_BITS, BYTE = 32, 8

Support = dict[str, Tensor]


class SparseUpdateConfig(MaskConfig):
    """Give a budget or a size, how scalars are chosen, and who trains them."""

    choose: Literal["fish", "random"] = Field(default="fish", description="the largest Fisher information, or chance")
    samples: int = Field(default=1024, ge=1, description="training rows that are scored; all, where there are fewer")
    charge_head: bool = Field(default=False, description="the size includes the head, as in the paper")
    reselect: bool = Field(default=False, description="choose anew before every epoch but the first")
    ranks: int = Field(default=1, ge=1, description="ranks that train apart; the suite's resources give as many")
    masks: Literal["disjoint", "equal"] = Field(default="disjoint", description="what different ranks train")
    merge_every: int = Field(default=100, ge=1, description="steps of each rank between merges")
    merge: Literal["sum", "mean"] = Field(default="sum", description="what is made of the ranks' differences")


class _Round(NamedTuple):
    """Where a rank stood between two merges."""

    own: list[tuple[Tensor, Tensor]]
    """Each tensor that it trains, or whose statistics move, and what was in it."""
    start: dict[str, Tensor]
    told: list[Tensor]
    sent_bytes: int


class SparseUpdate(Masking):
    """Train k scalars at a time, alone or in each of several ranks."""

    Config = SparseUpdateConfig
    config: SparseUpdateConfig
    part: KeptPart

    @property
    def ranks(self) -> int:
        """See ``harness.updates``."""
        return self.config.ranks

    def total(self, model: nn.Module, plan: Plan) -> int:
        return plan.total + self.charged(model, plan)

    def charged(self, model: nn.Module, plan: Plan) -> int:
        if not self.config.charge_head:
            return 0
        return sum(parameter.numel() for name, parameter in model.named_parameters() if name in plan.head)

    def count(self, model: nn.Module, plan: Plan) -> int:
        count = super().count(model, plan)
        if self._share() * count > num_targeted(plan):
            raise NotApplicable(
                f"largest is {num_targeted(plan) // self._share()} for each of {self.ranks} ranks with masks of "
                f"their own on targets {plan.targets.name} ({count} asked)"
            )
        return count

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self._num, self._streams, self._exchange = self.count(model, plan), streams, Exchange(self.ranks)
        self._sizes = targeted_sizes(plan)
        self._total_steps, self._steps_per_epoch = plan.total_steps, max(1, plan.total_steps // max(1, plan.epochs))
        self._aside: _Round | None = None
        self.part = KeptPart(model, empty_supports(plan.targets.tensors))

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        self._model, self._samples, self._num_rows = model, samples, len(samples)
        self._select(1)

    def before_epoch(self, epoch: int) -> Mapping[str, Tensor] | None:
        if self._aside:
            self._take_up(self._aside)
        if epoch == 1 or not self.config.reselect:
            return None
        return {f"{name}@values": before for name, before in self._select(epoch).items()}

    def after_backward(self) -> None:
        if self._exchange.together():
            for parameter in self.updated().values():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.ranks)

    def after_step(self, step: int) -> None:
        super().after_step(step)
        if not self._exchange.together():
            return
        looked_at = step % self._steps_per_epoch == 0
        last = looked_at and (self.config.reselect or step == self._total_steps)
        if looked_at and not last and step % self.config.merge_every:
            self._aside = self._round()
        if looked_at or step % self.config.merge_every == 0:
            self._merge()

    def keeps(self, values: Tensor) -> bool:
        # The optimiser is given its parameters once, and any tensor may be selected from later.
        return self.config.reselect or super().keeps(values)

    def buffers(self) -> dict[str, Tensor]:
        moved = {name: self.part.moved(name) for name in self.part.parameters}
        at = {f"{name}@moved": indices for name, (indices, _) in moved.items()}
        return {**super().buffers(), **at, **{f"{name}@weights": values for name, (_, values) in moved.items()}}

    def load_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        Method.load_buffers(self, buffers)
        for name, parameter in self.part.parameters.items():
            for kind in ("indices", "moved"):
                check_indices(f"{name}@{kind}", buffers[f"{name}@{kind}"], parameter.numel())
            if buffers[f"{name}@weights"].shape != buffers[f"{name}@moved"].shape:
                raise ValueError(f"this trained part has other numbers of scalars and places for {name}; it is damaged")
        moved = {name: (buffers[f"{name}@moved"], buffers[f"{name}@weights"]) for name in self.part.parameters}
        self.part.restore(moved)
        self.part.reselect({name: buffers[f"{name}@indices"].long() for name in self.part.parameters})

    def stored_bits(self) -> int:
        """Return the bits of k values, of every other scalar that is no longer the backbone's, and of their indices."""
        others = {name: self.part.moved(name)[0] for name in self.part.parameters}
        apart = {name: ~torch.isin(moved, self.part.indices[name]) for name, moved in others.items()}
        return super().stored_bits() + sum(
            int(apart[name].sum()) * (VALUE_BITS + _index_bits(self._sizes[name])) for name in others
        )

    def notes(self) -> tuple[str, ...]:
        asked, had = self.config.samples, self._num_rows
        scored = self.config.choose == "fish" and asked > had
        return (f"{asked} samples were asked for, the training set has {had}: all were scored",) if scored else ()

    def sent_bytes(self) -> int | None:
        """See ``harness.updates``: indices of new masks from the first rank, and what was merged from every one."""
        return self._exchange.sent_bytes if self._exchange.together() else None

    def checkpoint_bytes(self) -> int:
        """See ``harness.updates``: the k values of each rank, the head, and indices where they are chosen anew.

        An index counts as many bits as tell all targeted scalars apart.
        """
        index = _index_bits(sum(self._sizes.values())) if self.config.reselect else 0
        head = sum(parameter.numel() for parameter in self.head().values()) if self.trains_head else 0
        bits = self._share() * self._num * (VALUE_BITS + index) + VALUE_BITS * head + self.statistics_bits()
        return -(-bits // BYTE)

    def remove(self, model: nn.Module) -> None:
        super().remove(model)
        for kept in ("_model", "_samples"):  # both hold the model, and are there only once calibrated
            self.__dict__.pop(kept, None)

    def _share(self) -> int:
        """Return how many masks are chosen at once."""
        return self.ranks if self.config.masks == "disjoint" else 1

    def _select(self, epoch: int) -> dict[str, Tensor]:
        """Choose masks, take this rank's, and begin a round; return where its scalars were before."""
        masks = _dealt(self._agreed(self._chosen(epoch)), self._share())
        mine = masks.pop(self._exchange.index % len(masks))
        before = self.part.reselect(mine)
        # Others' masks, and what stands there now, which their deltas are added to.
        self._others = [{name: (i, self.part.at(name, i)) for name, i in mask.items()} for mask in masks]
        self._told = [torch.zeros(sum(map(len, mask.values())), device=self._device()) for mask in masks]
        self._begin_round()
        return before

    def _chosen(self, epoch: int) -> Support:
        count = self._share() * self._num
        if self.config.choose == "random":
            counts, again = deal(count, self._sizes), f"epoch {epoch}/" if epoch > 1 else ""
            return {
                name: torch.from_numpy(self._streams.sample(size, counts[name], "mask", f"{again}{name}"))
                for name, size in self._sizes.items()
            }
        if epoch > 1:
            return best(self._scores(), count)
        return best(self._samples.once(f"fisher/true/square/{self.config.samples}", self._scores), count)

    def _scores(self) -> dict[str, Tensor]:
        batches = self._samples.batches(self.config.samples)
        with self.part.suspended():
            losses = ((self._samples.loss(batch), 1.0, False) for batch in batches)
            return accumulate(self._model, self.part.parameters, losses, add_square)

    def _agreed(self, support: Support) -> Support:
        """Return the first rank's choice: the scores of two devices may differ in their last bits."""
        device = self._device()
        sizes = self._exchange.agree(torch.tensor([len(support[name]) for name in support], device=device)).tolist()
        flat = self._exchange.agree(torch.cat([indices.to(device) for indices in support.values()]))
        return dict(zip(support, torch.split(flat, sizes), strict=True))

    def _device(self) -> torch.device:
        return next(iter(self.part.parameters.values())).device

    def _begin_round(self) -> None:
        self._start = {name: parameter.detach().clone() for name, parameter in self.updated().items()}

    def _round(self) -> _Round:
        moving = [*self.updated().values(), *(now for now, _ in self._statistics.values())]
        own = [(tensor, tensor.detach().clone()) for tensor in moving]
        return _Round(own, self._start, self._told, self._exchange.sent_bytes)

    @torch.no_grad()
    def _take_up(self, aside: _Round) -> None:
        """Go on with a round after the merged model was looked at."""
        for tensor, before in aside.own:
            tensor.copy_(before)
        self._start, self._told, self._exchange.sent_bytes, self._aside = (
            aside.start,
            aside.told,
            aside.sent_bytes,
            None,
        )
        self._write_others()
        self.part.patch()

    @torch.no_grad()
    def _merge(self) -> None:
        """Add up what all ranks changed since the last merge, and let every one go on from there."""
        scale = 1.0 if self.config.merge == "sum" else 1.0 / self.ranks
        apart = {name for name in self.own_parameters() if self._share() > 1}
        for name, parameter in self.updated().items():
            change = parameter - self._start[name]
            parameter.copy_(self._start[name] + scale * (change if name in apart else self._exchange.total(change)))
        for now, _ in self._statistics.values():
            now.copy_(self._exchange.total(now) / self.ranks)
        if self._share() > 1:
            self._told = self._exchange.gather(torch.cat([values.detach() for values in self.part.values.values()]))
            self._told.pop(self._exchange.index)
            self._write_others()
        self.part.patch()
        self._begin_round()

    def _write_others(self) -> None:
        """Write what the others' scalars have come to; the masks are known to all, so only values travel."""
        for mask, deltas in zip(self._others, self._told, strict=True):
            parts = torch.split(deltas, [len(indices) for indices, _ in mask.values()])
            for (name, (indices, base)), delta in zip(mask.items(), parts, strict=True):
                self.part.write(name, indices, base.float() + delta)


def _dealt(support: Support, masks: int) -> list[Support]:
    """Deal chosen scalars to so many masks in turn, so that none has one more than another where they can be equal."""
    dealt: list[Support] = [{} for _ in range(masks)]
    place = 0
    for name, indices in support.items():
        for mask in range(masks):
            dealt[mask][name] = indices[(mask - place) % masks :: masks].contiguous()
        place += len(indices)
    return dealt


def _index_bits(size: int) -> int:
    """Return the bits that tell ``size`` places apart."""
    return max(1, (size - 1).bit_length())


METHOD = SparseUpdate
