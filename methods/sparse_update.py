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
charge_head says so; weight decay acts on the change since a mask was chosen. Scalars that leave a mask stay as they
are, and new ones begin with zero moments at their tensor's step count. After an epoch the merged model is looked at;
unless a merge was due, ranks go on from where they were. A rank's gradient is the number of ranks times its rows' share
of the mean loss of the batch, so the batch is that of all ranks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Method, Plan, Samples
from harness.random import Streams
from methods.parts.exchange import Exchange
from methods.parts.fisher import FisherConfig, FisherMask
from methods.parts.kept import KeptPart, check_indices
from methods.parts.masking import SEED_BITS, deal, empty_supports, num_targeted, targeted_sizes
from methods.parts.rounds import Rounds, Support, deal_out
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
        "weight decay acts on the change since a mask was chosen, not on the weights",
    ],
    "tuned": {"lr": [1e-4, 3e-2]},
    "budget": "count",
}
VALUE_BITS, BYTE = 32, 8


class SparseUpdateConfig(FisherConfig):
    """Give a budget or a size, how scalars are chosen, and who trains them."""

    choose: Literal["fish", "random"] = Field(default="fish", description="the largest Fisher information, or chance")
    ranks: int = Field(default=1, ge=1, description="ranks that train apart; the suite's resources give as many")
    masks: Literal["disjoint", "equal"] = Field(default="disjoint", description="what different ranks train")
    merge_every: int = Field(default=100, ge=1, description="steps of each rank between merges")
    merge: Literal["sum", "mean"] = Field(default="sum", description="what is made of the ranks' differences")


class SparseUpdate(FisherMask):
    """Train k scalars at a time, alone or in each of several ranks."""

    Config = SparseUpdateConfig
    config: SparseUpdateConfig
    part: KeptPart

    @property
    def ranks(self) -> int:
        """See ``harness.updates``."""
        return self.config.ranks

    def count(self, model: nn.Module, plan: Plan) -> int:
        count = super().count(model, plan)
        if self._num_masks() * count > num_targeted(plan):
            raise NotApplicable(
                f"largest is {num_targeted(plan) // self._num_masks()} for each of {self.ranks} ranks with masks of "
                f"their own on targets {plan.targets.name} ({count} asked)"
            )
        return count

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self._num, self._streams, self._exchange = self.count(model, plan), streams, Exchange(self.ranks)
        self._sizes = targeted_sizes(plan)
        self._total_steps, self._steps_per_epoch = plan.total_steps, max(1, plan.total_steps // max(1, plan.epochs))
        self.part = KeptPart(model, empty_supports(plan.targets.tensors))
        self._rounds = Rounds(self.part, self._exchange, mean=self.config.merge == "mean")

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        super().calibrate(model, samples)
        self._select(1)

    def before_epoch(self, epoch: int) -> Mapping[str, Tensor] | None:
        self._rounds.take_up()
        return self.exchanged(self._select(epoch)) if self.config.reselect and epoch > 1 else None

    def after_backward(self) -> None:
        if self._exchange.together():
            for parameter in self.updated().values():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.ranks)

    def after_step(self, step: int) -> None:
        super().after_step(step)
        if not self._exchange.together():
            return
        epoch_ends = step % self._steps_per_epoch == 0
        chosen_anew = epoch_ends and self.config.reselect
        if step % self.config.merge_every == 0 or step == self._total_steps or chosen_anew:
            self._rounds.merge()
        elif epoch_ends:
            self._rounds.look()

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
        """Return the bits of every scalar that is no longer the backbone's, or is trained, and of its index.

        The places of random scalars are drawn again from a seed.
        """
        bits = SEED_BITS if self._is_random() else 0
        for name, size in self._sizes.items():
            scalars = torch.unique(torch.cat([self.part.moved(name)[0], self.part.indices[name]])).numel()
            bits += scalars * (VALUE_BITS + (0 if self._is_random() else _index_bits(size)))
        return bits

    def notes(self) -> tuple[str, ...]:
        scored = () if self._is_random() else super().notes()
        if self._num_masks() == 1:
            return scored
        all_of_them = self._num_masks() * self._num
        return (*scored, f"{self.ranks} ranks train {self._num:,} scalars each: {all_of_them:,} of the model at a time")

    def sent_bytes(self) -> int | None:
        """See ``harness.updates``: indices of new masks from the first rank, and what was merged from every one.

        What was merged only to look at the model after an epoch does not count.
        """
        return self._exchange.sent_bytes if self._exchange.together() else None

    def checkpoint_bytes(self) -> int:
        """See ``harness.updates``: the k values of each rank, the head, and indices where they are chosen anew.

        An index counts as many bits as tell all targeted scalars apart; random ones are drawn again from a seed.
        """
        index = _index_bits(sum(self._sizes.values())) if self.config.reselect and not self._is_random() else 0
        head = sum(parameter.numel() for parameter in self.head().values()) if self.trains_head else 0
        bits = self._num_masks() * self._num * (VALUE_BITS + index) + VALUE_BITS * head + self.statistics_bits()
        return -(-bits // BYTE)

    def _is_random(self) -> bool:
        return self.config.choose == "random"

    def _num_masks(self) -> int:
        return self.ranks if self.config.masks == "disjoint" else 1

    def _select(self, epoch: int) -> dict[str, Tensor]:
        """Choose masks, take this rank's, and begin a round; return where its scalars were before."""
        count = self._num_masks() * self._num
        chosen = self._drawn(count, epoch) if self._is_random() else self._agreed(self._scored(count, epoch))
        before = self._rounds.select(deal_out(chosen, self._num_masks()))
        head = self.head() if self.trains_head else {}
        self._rounds.begin(self.own_parameters(), head, [now for now, _ in self._statistics.values()])
        return before

    def _drawn(self, count: int, epoch: int) -> Support:
        counts, again = deal(count, self._sizes), f"epoch {epoch}/" if epoch > 1 else ""
        return {
            name: torch.from_numpy(self._streams.sample(size, counts[name], "mask", f"{again}{name}"))
            for name, size in self._sizes.items()
        }

    def _scored(self, count: int, epoch: int) -> Support:
        if epoch > 1:
            return best(self._scores(), count)
        return best(self._samples.once(f"fisher/true/square/{self.config.samples}", self._scores), count)

    def _scores(self) -> dict[str, Tensor]:
        with self.part.suspended():
            return accumulate(self._model, self.part.parameters, self.true_losses(), add_square)

    def _agreed(self, support: Support) -> Support:
        """Return the first rank's choice: the scores of two devices may differ in their last bits."""
        flat = torch.cat(list(support.values()))
        lengths = torch.tensor([len(indices) for indices in support.values()], device=flat.device)
        sizes, flat = self._exchange.agree(lengths).tolist(), self._exchange.agree(flat)
        return dict(zip(support, torch.split(flat, sizes), strict=True))


def _index_bits(size: int) -> int:
    """Return the bits that tell ``size`` places apart."""
    return max(1, (size - 1).bit_length())


METHOD = SparseUpdate
