"""PST: a model becomes sparse by scores of low-rank and row and column importance while few parameters are trained.

Paper: Li et al., Parameter-Efficient Sparsity for Large Language Models Fine-Tuning, IJCAI 2022,
    https://arxiv.org/abs/2205.11005
Code: https://github.com/alibaba/AliceMind/tree/main/S4/PST @ 41153b1
Maths: y = (M o W') x + b with W' = W + beta U V; M zeroes the int(m n s_t) smallest scores of each matrix,
    S = |W'| + alpha1 A B + alpha2 (R 1^T + 1 C^T); U (m x r1), A (m x r2) ~ N(0, 1); V (r1 x n), B (r2 x n),
    R (m), C (n) zero. Straight through the mask: with G = dL/d(M o W') the scores get dL/dS = G o W', and so W' gets
    M o G + sign(W') o G o W' = G o (M + |W'|). s_t: nothing for 10 % of the steps, a cubic, the target for 30 %.
Count: (r1 + r2 + 1) * sum(m + n) over the targeted weights
Budget: the largest r1 + r2 that fits, dealt evenly (r1 = r2, or r1 = r2 + 1). Floor r1 = 1 and r2 = 0, scores of rows
    and columns alone, since without U V nothing but the mask would be tuned; ceiling both the smallest side of a
    targeted weight, where U V has full rank.
Starts at identity: yes, U V = 0 and nothing is pruned before the warm-up ends.
Differs from the paper: see the card. W' and S are formed in fp32 whatever the frozen weights' type; M o W' is rounded
    to that type, once per step.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import weight_shape
from methods.parts.pruning import PrunedWeight, Pruning, PruningConfig

CARD = {
    "name": "pst",
    "title": "PST",
    "paper": "Li et al., Parameter-Efficient Sparsity for Large Language Models Fine-Tuning, IJCAI 2022",
    "url": "https://arxiv.org/abs/2205.11005",
    "year": 2022,
    "code": "https://github.com/alibaba/AliceMind/tree/main/S4/PST",
    "version": 1,
    "count": "(r1 + r2 + 1) * sum(m + n) over the targeted weights",
    "starts_at_identity": True,
    "differs": [
        "the head is trained; the official script leaves it at its random start (train_head: false)",
        "a fused query-key-value weight is one matrix, not three",
        "equal scores are dropped by index, not in an arbitrary order",
    ],
    "tuned": {"lr": [3e-5, 3e-3]},
    "budget": "ranks",
}


class PstConfig(PruningConfig):
    """The paper's values."""

    weight_rank: int = Field(default=8, ge=1, description="r1, of the update U V")
    score_rank: int = Field(default=8, ge=0, description="r2, of the importance A B; 0 leaves it out")
    beta: float = Field(default=1.0, ge=0, description="scale of U V")
    alpha1: float = Field(default=1.0, ge=0, description="scale of A B")
    alpha2: float = Field(default=1.0, ge=0, description="scale of row and column importance")


class Factored(PrunedWeight):
    """A frozen weight with a low-rank update and a factored importance.

    Args:
        layer: a linear layer of m outputs and n inputs; a Conv1D keeps its weight as (n, m).
        config: ranks and scales.
        draws: U (m, r1) and A (m, r2), fp32.
    """

    def __init__(self, layer: nn.Module, config: PstConfig, draws: dict[str, Tensor]) -> None:
        parameter = layer.weight
        assert isinstance(parameter, nn.Parameter)
        super().__init__(parameter)
        self._config, self._transposed = config, isinstance(layer, Conv1D)
        outputs, inputs = weight_shape(layer)
        starts = {"U": draws["U"], "V": torch.zeros(config.weight_rank, inputs)}
        if config.score_rank:
            starts |= {"A": draws["A"], "B": torch.zeros(config.score_rank, inputs)}
        starts |= {"R": torch.zeros(outputs), "C": torch.zeros(inputs)}
        self.own = {role: nn.Parameter(start.to(parameter.device)) for role, start in starts.items()}

    def weight(self) -> Tensor:
        left, right = self._as_stored(self.own["U"].detach(), self.own["V"].detach())
        return torch.addmm(self.parameter.detach().float(), left, right, alpha=self._config.beta)

    def scores(self, weight: Tensor) -> Tensor:
        own, config = {role: parameter.detach() for role, parameter in self.own.items()}, self._config
        scores = weight.abs()
        if config.score_rank:
            left, right = self._as_stored(own["A"], own["B"])
            scores.addmm_(left, right, alpha=config.alpha1)
        rows, columns = (own["C"], own["R"]) if self._transposed else (own["R"], own["C"])
        return scores.add_(rows[:, None], alpha=config.alpha2).add_(columns, alpha=config.alpha2)

    def trained(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.own.values())

    def gradients(self, gradient: Tensor, *trained: Tensor) -> tuple[Tensor, ...]:
        own, config = dict(zip(self.own, trained, strict=True)), self._config
        weight = self.weight()  # recomputed: keeping it would cost another copy of the backbone
        to_scores = gradient * weight
        to_weight = weight.abs_().add_(self.kept).mul_(gradient)
        to_update = self._project(to_weight, own["U"], own["V"], config.beta)
        to_importance: tuple[Tensor, ...] = ()
        if config.score_rank:
            to_importance = self._project(to_scores, own["A"], own["B"], config.alpha1)
        rows, columns = (1, 0) if self._transposed else (0, 1)
        sums = (to_scores.sum(dim=side).mul_(config.alpha2) for side in (columns, rows))
        return *to_update, *to_importance, *sums

    def _project(self, gradient: Tensor, up: Tensor, down: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Return the gradients of ``up`` (m, r) and ``down`` (r, n) for that of scale * up @ down, as stored."""
        left, right = self._as_stored(up, down)
        # The large matrix stays on the right and as it lies in memory: its transposed product takes four times as long.
        to_left, to_right = (gradient @ right.t()).mul_(scale), (left.t() @ gradient).mul_(scale)
        return self._as_stored(to_left, to_right)

    def _as_stored(self, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of the stored matrix for those of the m x n one, or the other way round."""
        return (down.t(), up.t()) if self._transposed else (up, down)


class Pst(Pruning):
    """Prune frozen weights with a trained low-rank update by trained, factored scores."""

    Config = PstConfig
    config: PstConfig

    def solve(self, model: nn.Module, plan: Plan) -> PstConfig:
        """Take the largest ranks within the budget, equal ones or r1 one larger."""
        assert plan.budget is not None
        sides, largest = self._sides(model, plan)
        if plan.budget < 2 * sides:
            raise NotApplicable(f"smallest is {2 * sides} (ranks 1 and 0 on targets {plan.targets.name})")
        ceiling = (2 * largest + 1) * sides
        if plan.budget > ceiling:
            raise NotApplicable(f"largest is {ceiling} (ranks {largest} on targets {plan.targets.name})")
        ranks = plan.budget // sides - 1
        return self.config.model_copy(update={"weight_rank": ranks - ranks // 2, "score_rank": ranks // 2})

    def count(self, model: nn.Module, plan: Plan) -> int:
        sides, largest = self._sides(model, plan)
        rank = max(self.config.weight_rank, self.config.score_rank)
        if rank > largest:
            raise NotApplicable(f"rank {rank} is over {largest}, the smallest side of a targeted weight")
        return (self.config.weight_rank + self.config.score_rank + 1) * sides

    def prepare(self, model: nn.Module, plan: Plan, streams: Streams) -> dict[str, PrunedWeight]:
        weights: dict[str, PrunedWeight] = {}
        for name, layer in self.layers(model, plan).items():
            outputs, _ = weight_shape(layer)
            draws = {
                role: torch.randn(
                    outputs, rank, generator=torch.Generator().manual_seed(streams.integer("init", f"{name}@{role}"))
                )
                for role, rank in (("U", self.config.weight_rank), ("A", self.config.score_rank))
            }
            weights[name] = Factored(layer, self.config, draws)
        return weights

    def _sides(self, model: nn.Module, plan: Plan) -> tuple[int, int]:
        """Return the sum of all m + n, and the smallest side."""
        shapes = [weight_shape(layer) for layer in self.layers(model, plan).values()]
        return sum(map(sum, shapes)), min(map(min, shapes))


METHOD = Pst
