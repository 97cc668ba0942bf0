"""Scores: one fp32 number per scalar of some tensors, added up sample by sample, and the exactly k best of them all.

One sample's gradient exists at a time, one tensor at a time: it is added to the score and freed as soon as the backward
pass has formed it. The best are found from a histogram of the scores' bits, so nothing is sorted and nothing of the
size of all tensors together is made beside the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import Diverged

Add = Callable[[Tensor, Tensor, float], None]
"""Adds a gradient, of the score's shape, to the score with a weight."""
HALF = 1 << 16
"""Values of one half of a 32-bit score."""


def add_square(score: Tensor, gradient: Tensor, weight: float) -> None:
    """Add the squared gradient."""
    gradient = gradient.to(score.dtype)
    score.addcmul_(gradient, gradient, value=weight)


def add_absolute(score: Tensor, gradient: Tensor, weight: float) -> None:
    """Add the gradient's absolute value."""
    score.add_(gradient.to(score.dtype).abs_(), alpha=weight)


def add_plain(score: Tensor, gradient: Tensor, weight: float) -> None:
    """Add the gradient itself."""
    score.add_(gradient, alpha=weight)


def accumulate(
    model: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    weighted: Iterable[tuple[Tensor, float, bool]],
    add: Add,
) -> dict[str, Tensor]:
    """Return the sum over samples of what ``add`` makes of each gradient, fp32, in the tensors' own shapes.

    The model is scored without dropout and left in the mode and with the flags that it had.

    Args:
        model: holds the parameters.
        parameters: the tensors that are scored.
        weighted: (a scalar to differentiate, the weight of its gradient, whether its graph is used once more); drawn
            while the tensors require gradients.
        add: how a gradient enters.
    """
    scores = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in parameters.items()}
    weight = 1.0

    def adder(score: Tensor) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            if parameter.grad is not None:  # torch calls this, too, where a tensor was used but has no gradient
                add(score, parameter.grad, weight)
                parameter.grad = None

        return hook

    with _scoring(model, parameters):
        handles = []
        for name, parameter in parameters.items():
            register: Any = parameter.register_post_accumulate_grad_hook  # torch leaves it untyped
            handles.append(register(adder(scores[name])))
        try:
            for scalar, weight, again in weighted:  # noqa: B007  # the hooks read the weight
                scalar.backward(retain_graph=again)  # type: ignore[no-untyped-call]
        finally:
            for handle in handles:
                handle.remove()
    return scores


def best(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the flat indices, int64 and ascending, of exactly the ``count`` largest scores of all tensors together.

    Of equal scores the earlier ones win, tensor by tensor in the order given, so fewer are a subset of more.

    Raises:
        Diverged: if a score is not finite, naming the tensor.
    """
    for name, score in scores.items():
        if not torch.isfinite(score).all():
            raise Diverged(
                f"the scores of {name} are not finite, so its scalars cannot be ranked; score fewer samples, or check "
                f"the data and the frozen weights' type"
            )
    upper, above = _boundary(scores, count, 0, None)
    lower, above = _boundary(scores, count, above, upper)
    threshold = (upper - HALF // 2) * HALF + lower
    ties, chosen = count - above, {}
    for name, score in scores.items():
        keys = _keys(score)
        equal = torch.nonzero(keys == threshold)[:ties, 0]
        ties -= len(equal)
        chosen[name] = torch.cat([torch.nonzero(keys > threshold)[:, 0], equal]).sort().values
    return chosen


def _boundary(scores: Mapping[str, Tensor], count: int, above: int, upper: int | None) -> tuple[int, int]:
    """Return the half of the ``count``-th largest key, and how many keys lie above all that share it.

    Args:
        scores: the scores.
        count: which largest.
        above: how many lie above the keys looked at.
        upper: null looks at the upper halves of all keys; else at the lower halves of those with this upper half.
    """
    histogram = torch.zeros(HALF, dtype=torch.int64)
    for score in scores.values():
        keys = _keys(score)
        halves = (keys >> 16) + HALF // 2 if upper is None else keys[(keys >> 16) + HALF // 2 == upper] & (HALF - 1)
        histogram += torch.bincount(halves, minlength=HALF).cpu()
    from_top = histogram.flip(0).cumsum(0) + above
    place = int(torch.searchsorted(from_top, count))
    half = HALF - 1 - place
    return half, int(from_top[place] - histogram[half])


def _keys(score: Tensor) -> Tensor:
    """Return int32 keys in the order of the fp32 scores: their bits, turned round below zero."""
    bits = (score.reshape(-1) + 0.0).view(torch.int32)  # -0.0 + 0.0 is 0.0: the two zeros are equal scores
    return torch.where(bits >= 0, bits, bits ^ 0x7FFFFFFF)


@contextmanager
def _scoring(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Let exactly these parameters have gradients, and the model be in evaluation mode, for a while."""
    modes = {module: module.training for module in model.modules()}
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    kept = {id(parameter) for parameter in parameters.values()}
    model.eval()
    for parameter in flags:
        parameter.requires_grad_(id(parameter) in kept)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
            if id(parameter) in kept:
                parameter.grad = None
