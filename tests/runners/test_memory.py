"""Memory that runs out halves what goes through the model at once, and changes no result but by rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from runners.course import Fitted
from runners.memory import exhausted, forget
from tests.methods.attaching import Attached
from tests.runners.toy import examples, started, trainer

TRAIN, VALIDATION = examples(32), examples(24, seed=1, offset=32)
IMPOSSIBLE = 1 << 50
"""Bytes that no allocator hands out: the failure below is a real one."""


def limit(attached: Attached, rows: int) -> list[int]:
    """Let the model's own passes fail, for real, for more rows than ``rows``; return what came."""
    seen: list[int] = []

    def greedy(module: nn.Module, arguments: Any, named: Any) -> None:
        seen.append(len(named["input_ids"]))
        torch.empty(IMPOSSIBLE if seen[-1] > rows else 1, dtype=torch.uint8)

    attached.model.register_forward_pre_hook(greedy, with_kwargs=True)
    return seen


def fitted(rows: int | None, **training: Any) -> tuple[Fitted, list[int]]:
    attached = started("random_mask")
    for module in attached.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    seen = limit(attached, rows) if rows else []
    return trainer(attached, epochs=2, lr=1e-2, **training).fit(TRAIN, VALIDATION), seen


def test_a_batch_that_does_not_fit_goes_through_in_parts_at_equal_effective_batch() -> None:
    whole, (halved, seen) = fitted(None)[0], fitted(4)
    assert halved.parts == 2
    assert seen[:3] == [8, 4, 4]  # the failed one, then its halves; later batches start halved
    assert [rows for rows in seen if rows > 4] == [8, 24, 12, 6, 24, 12, 6]  # one step, and both validations
    assert halved.steps == whole.steps
    for name, tensor in whole.state.items():
        torch.testing.assert_close(halved.state[name], tensor, atol=1e-5, rtol=1e-4)


def test_asked_parts_are_where_halving_begins() -> None:
    assert fitted(2, accumulation=2)[0].parts == 4
    assert fitted(8, accumulation=2)[0].parts == 2


def test_what_does_not_fit_row_by_row_is_an_error() -> None:
    attached = started("random_mask")
    seen = limit(attached, 0)
    with pytest.raises(RuntimeError) as failed:
        trainer(attached, epochs=1).fit(TRAIN, VALIDATION)
    assert exhausted(failed.value)
    assert seen == [8, 4, 2, 1]


def test_a_failed_pass_leaves_no_gradient() -> None:
    attached = started("full")
    for parameter in attached.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    forget(attached.model)
    assert all(parameter.grad is None for parameter in attached.model.parameters())


def test_predictions_in_smaller_batches_are_the_same() -> None:
    attached = started("base")
    job = trainer(attached)
    whole = job.evaluator.predict(attached.model, job.protocol, VALIDATION)
    seen = limit(attached, 7)
    halved = job.evaluator.predict(attached.model, job.protocol, VALIDATION)
    assert max(rows for rows in seen[3:]) <= 7
    assert halved.loss == pytest.approx(whole.loss, rel=1e-5)
    assert list(halved.values or ()) == list(whole.values or ())


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_memory_is_told_from_other_errors(problem: BaseException, expected: bool) -> None:
    assert exhausted(problem) is expected
