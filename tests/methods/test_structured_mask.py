"""Structured masking trains exactly k adjacent scalars of each matrix, whole columns first."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from methods.structured_mask import StructuredMask, StructuredMaskConfig
from tests.methods.attaching import attach, backbone


def grid(count: int, columns: str, rows: int, inputs: int, drawn: int = 0) -> Tensor:
    """Return the support in one (rows x inputs) matrix as zeros and ones."""
    method = StructuredMask(StructuredMaskConfig.model_validate({"columns": columns}))
    indices = method._support(count, nn.Linear(inputs, rows, bias=False), drawn)
    return torch.zeros(rows * inputs).index_fill(0, indices, 1.0).view(rows, inputs)


def test_a_small_matrix_is_filled_as_by_hand() -> None:
    assert grid(2, "first", 3, 4).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert grid(5, "first", 3, 4).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert grid(5, "last", 3, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    assert grid(4, "random", 3, 4, drawn=5).tolist() == [[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]]


@given(
    rows=st.integers(1, 9),
    inputs=st.integers(1, 9),
    columns=st.sampled_from(["first", "last", "random"]),
    data=st.data(),
)
def test_exactly_k_scalars_of_adjacent_columns(rows: int, inputs: int, columns: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, rows * inputs))
    mask = grid(count, columns, rows, inputs, data.draw(st.integers(0, 2**63 - 1)))
    assert int(mask.sum()) == count
    used = mask.sum(0).nonzero()[:, 0].tolist()
    assert used == list(range(used[0], used[-1] + 1))
    assert sorted(mask.sum(0)[used].tolist())[1:] == [rows] * (len(used) - 1), "only one column is partly filled"


@pytest.mark.parametrize("columns", ["first", "last", "random"])
def test_a_multiple_of_the_column_length_leaves_no_column_out(columns: str) -> None:
    assert grid(6, columns, 3, 4, drawn=2).sum(0).sort().values.tolist() == [0, 0, 3, 3]


def test_columns_are_inputs_also_where_the_weight_is_stored_the_other_way_round() -> None:
    layer = Conv1D(5, 3)  # 3 inputs to 5 outputs, weight (3, 5)
    indices = StructuredMask(StructuredMaskConfig())._support(5, layer, 0)
    assert indices.tolist() == [0, 1, 2, 3, 4], "the whole first input"


def test_the_size_is_dealt_to_the_matrices_exactly() -> None:
    started = attach("structured_mask", backbone("llama"), count=1111)
    assert sum(p.numel() for p in started.method.trained().values()) == 1111


def test_a_convolution_has_no_columns() -> None:
    loaded = backbone("resnet")
    with pytest.raises(NotApplicable, match="takes columns of linear layers"):
        attach("structured_mask", loaded, count=10)
