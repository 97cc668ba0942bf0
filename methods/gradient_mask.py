"""Gradient masking: the scalars with the largest summed gradient are trained, for comparison with FISH.

Paper: Sung, Nair, Raffel, Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021,
       https://arxiv.org/abs/2111.09839 (which sums squares of gradients; this is the selection beside it)
Code: none
Maths: g_i = |sum_j d log p(y_j|x_j) / d theta_i| over samples j; the k scalars with the largest g_i over all targeted
tensors together form the support of W' = W + S
Count: k, exactly the budget
Starts at identity: yes, S = 0.
Differs from the paper: the gradients are summed before their size is taken, so gradients that cancel count little.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from harness.method import Plan, Samples
from harness.random import Streams
from methods.parts.masking import MaskConfig, Masking, empty_supports
from methods.parts.scores import accumulate, add_plain, best
from methods.parts.sparse import SparsePart

CARD = {
    "name": "gradient_mask",
    "title": "Gradient masking",
    "paper": "Sung et al., Training Neural Networks with Fixed Sparse Masks, NeurIPS 2021",
    "url": "https://arxiv.org/abs/2111.09839",
    "year": 2021,
    "code": None,
    "version": 1,
    "count": "k, exactly the budget",
    "starts_at_identity": True,
    "differs": ["gradients are summed before their size is taken, not squared and summed"],
    "tuned": {"lr": [1e-4, 3e-2]},
    "budget": "count",
}
ROWS = 16
"""Rows of one backward pass: a sum of gradients needs no sample by itself."""


class GradientMaskConfig(MaskConfig):
    """Give a budget or a size."""

    samples: int = Field(default=1024, ge=1, description="training rows that are scored; all, where there are fewer")


class GradientMask(Masking):
    """Train the k scalars with the largest summed gradient."""

    Config = GradientMaskConfig
    config: GradientMaskConfig

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self._num = self.count(model, plan)
        self.part = SparsePart(model, empty_supports(plan.targets.tensors))

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        self._asked, self._had = self.config.samples, len(samples)
        scores = samples.once(f"gradients/{self._asked}", lambda: self._scores(model, samples))
        self.part.reselect(best(scores, self._num))

    def _scores(self, model: nn.Module, samples: Samples) -> dict[str, Tensor]:
        count = min(self._asked, self._had)
        sizes = [min(ROWS, count - start) for start in range(0, count, ROWS)]
        weighted = (
            (samples.loss(batch), float(size), False)  # the loss is a mean over the batch's rows
            for batch, size in zip(samples.batches(count, ROWS), sizes, strict=True)
        )
        with self.part.suspended():
            scores = accumulate(model, self.part.parameters, weighted, add_plain)
        return {name: score.abs_() for name, score in scores.items()}

    def notes(self) -> tuple[str, ...]:
        if self._asked <= self._had:
            return ()
        return (f"{self._asked} samples were asked for, the training set has {self._had}: all were scored",)


METHOD = GradientMask
