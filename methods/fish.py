"""FISH Mask: the scalars with the largest Fisher information are trained.

Paper: Sung, Nair, Raffel, Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021,
       https://arxiv.org/abs/2111.09839
Code: https://github.com/varunnair18/FISH
Maths: F_i = sum_j (d log p(y_j|x_j) / d theta_i)^2 over samples j with their true labels; the k scalars with the
largest F_i over all targeted tensors together form the support of W' = W + S
Count: k, exactly the budget (with charge_head the budget less the head)
Starts at identity: yes, S = 0.
Differs from the paper: the head is not charged unless charge_head says so; targets are the suite's (the paper's are
``all``); values are fp32 and no dense mask, gradient or optimiser state is kept. Where the mask is selected anew every
epoch, a scalar that leaves it goes back to its pretrained value, so that the trained part stays k scalars, and a new
one starts with zero moments at its tensor's step count, as in a dense optimiser whose gradient was masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from harness.method import Plan, Samples
from harness.random import Streams
from methods.parts.fisher import FisherConfig, FisherMask
from methods.parts.masking import empty_supports
from methods.parts.scores import accumulate, add_absolute, add_square, best
from methods.parts.sparse import SparsePart

CARD = {
    "name": "fish",
    "title": "FISH Mask",
    "paper": "Sung et al., Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021",
    "url": "https://arxiv.org/abs/2111.09839",
    "year": 2021,
    "code": "https://github.com/varunnair18/FISH",
    "version": 1,
    "count": "k, exactly the budget",
    "starts_at_identity": True,
    "differs": [
        "the head is not charged to the budget unless charge_head says so",
        "chooses among the suite's targets; the paper's are all",
        "fp32 values; no dense mask, gradient or optimiser state",
        "with reselect, a scalar that leaves the mask goes back to its pretrained value",
        "with reselect, a new scalar has zero moments at its tensor's step count",
    ],
    "tuned": {"lr": [1e-4, 3e-2]},
    "budget": "count",
}
POWERS = {"square": add_square, "absolute": add_absolute}


class FishConfig(FisherConfig):
    """Give a budget or a size, and how the Fisher information is estimated."""

    labels: Literal["true", "expected"] = Field(
        default="true", description="the rows' own labels, or the exact expectation over the model's outcomes"
    )
    power: Literal["square", "absolute"] = Field(default="square", description="what is summed of each gradient")


class Fish(FisherMask):
    """Train the k scalars with the largest empirical Fisher information."""

    Config = FishConfig
    config: FishConfig

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self._num = self.count(model, plan)
        self.part = SparsePart(model, empty_supports(plan.targets.tensors))

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        super().calibrate(model, samples)
        name = f"fisher/{self.config.labels}/{self.config.power}/{self.config.samples}"
        self.part.reselect(best(samples.once(name, self._scores), self._num))

    def before_epoch(self, epoch: int) -> Mapping[str, Tensor] | None:
        if epoch == 1 or not self.config.reselect:
            return None
        return self.exchanged(self.part.reselect(best(self._scores(), self._num)))

    def _scores(self) -> dict[str, Tensor]:
        with self.part.suspended():
            scored = self.true_losses() if self.config.labels == "true" else self._expected()
            return accumulate(self._model, self.part.parameters, scored, POWERS[self.config.power])

    def _expected(self) -> Iterator[tuple[Tensor, float, bool]]:
        for batch in self._samples.batches(self.config.samples):
            (row,) = self._samples.log_likelihoods(batch)
            chances = row.detach().exp().tolist()
            for outcome, chance in enumerate(chances):
                yield row[outcome], chance, outcome < len(chances) - 1


METHOD = Fish
