"""Scores add up sample by sample without a trace on the model, and exactly the best are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.errors import Diverged
from methods.parts.scores import accumulate, add_absolute, add_plain, add_square, best

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32) | st.sampled_from([0.0, -0.0, 1.0, 1e-45, -1e-45])


@given(rows=st.lists(st.lists(FLOATS, max_size=30), min_size=1, max_size=4), data=st.data())
def test_the_best_are_those_of_a_stable_sort(rows: list[list[float]], data: st.DataObject) -> None:
    total = sum(map(len, rows))
    count = data.draw(st.integers(0, total))
    scores = {str(number): torch.tensor(row, dtype=torch.float32) for number, row in enumerate(rows)}
    flat = np.array([value for row in rows for value in row], dtype=np.float32)
    expected = set(np.argsort(-flat, kind="stable")[:count].tolist())
    offset, found = 0, set()
    for name, indices in best(scores, count).items():
        assert indices.tolist() == sorted(indices.tolist())
        found |= {offset + index for index in indices.tolist()}
        offset += scores[name].numel()
    assert found == expected


def test_scores_that_are_not_finite_end_as_diverged_and_name_the_tensor() -> None:
    for bad in (float("nan"), float("inf")):
        with pytest.raises(Diverged, match="the scores of b are not finite"):
            best({"a": torch.ones(3), "b": torch.tensor([1.0, bad])}, 2)


@pytest.mark.parametrize(
    ("add", "expected"), [(add_square, 4 + 2 * 9), (add_absolute, 2 + 2 * 3), (add_plain, 2 - 2 * 3)]
)
def test_gradients_enter_with_their_weights_and_leave_no_trace(add: object, expected: float) -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Dropout(0.9), nn.Linear(1, 1))
    model.train()
    weight = model[0].weight
    weight.requires_grad_(False)
    inner = model[0]
    samples = [(2.0, 1.0), (-3.0, 2.0)]
    weighted = ((inner(torch.full((1, 1), x)).sum(), share, False) for x, share in samples)
    scores = accumulate(model, {"w": weight}, weighted, add)  # type: ignore[arg-type]
    assert scores["w"].item() == expected
    assert weight.grad is None
    assert not weight.requires_grad
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model[2].parameters())
    assert not getattr(weight, "_post_accumulate_grad_hooks", None)


def test_a_failure_while_scoring_leaves_no_trace_either() -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(RuntimeError):
        accumulate(
            model, {"w": model.weight}, ((torch.ones(2, requires_grad=True), 1.0, False) for _ in range(1)), add_plain
        )
    assert not getattr(model.weight, "_post_accumulate_grad_hooks", None)
    assert model.training
    assert model.bias.requires_grad
