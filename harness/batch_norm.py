"""Batch norms: whether their running statistics move is a fact of the backbone, kept on the modules themselves.

A pretrained backbone's statistics are its own and stay as they are: a running statistic is no trained scalar, so
letting it move would change the model beside its trained part. A backbone made for training from scratch has none yet
(means 0, variances 1), so there they move, and what they became belongs to the trained part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_MARK = "paretune_statistics_move"


def let_move(model: nn.Module) -> None:
    """Say of every batch norm of a model that its statistics move in training."""
    for module in batch_norms(model).values():
        setattr(module, _MARK, True)


def moves(module: nn.Module) -> bool:
    """Return whether a module is a batch norm whose statistics move."""
    return bool(getattr(module, _MARK, False))


def batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Return the batch norms of a model by name."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


def moving_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers of a model that move in training, by name: means, variances, batches seen."""
    return {
        f"{name}.{own}": buffer
        for name, module in batch_norms(model).items()
        if moves(module)
        for own, buffer in module.named_buffers(recurse=False)
    }
