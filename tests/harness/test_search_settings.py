"""How a search is changed by the override of some runs; what it refuses is held by ``test_search_bad_input``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.search_settings import MOST_TRIALS, SearchSettings

RATES = {"lr": (0.1, 0.2)}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({"trials": 4, "over": "lr"}, {"grid": {"lr": [0.1, 0.2]}}, {"grid": RATES}),
        ({"grid": RATES}, {"trials": 3}, {"trials": 3}),
        ({"grid": RATES, "seed": 2}, {"over": ["clip"]}, {"over": ("clip",), "seed": 2}),
        ({"grid": RATES}, {"select": "loss"}, {"grid": RATES, "select": "loss"}),
        ({"trials": 4}, {"share": "task"}, {"trials": 4, "share": "task"}),
        ({}, {"grid": {"lr": 0.1}}, {"grid": {"lr": (0.1,)}}),
    ],
)
def test_a_grid_replaces_trials_over_ranges_and_these_a_grid(
    before: dict[str, Any], changes: dict[str, Any], after: dict[str, Any]
) -> None:
    assert SearchSettings.model_validate(before).changed(changes) == SearchSettings.model_validate(after)


@given(st.integers(1, 120), st.integers(1, 120))
def test_a_grid_is_as_large_as_its_bill_can_be(first: int, second: int) -> None:
    grid = {"lr": list(range(1, first + 1)), "clip": list(range(1, second + 1))}
    if first * second <= MOST_TRIALS:
        assert len(SearchSettings.model_validate({"grid": grid}).grid["lr"]) == first
    else:
        with pytest.raises(ValidationError, match="the grid has over 100 trials"):
            SearchSettings.model_validate({"grid": grid})
