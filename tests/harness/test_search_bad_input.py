"""What each mistake in a search is told: what came, what is allowed, what to do."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UnknownName
from harness.search import check_grids
from harness.suite import BadSuite
from tests.harness.test_search import expansion, searches


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"search": {"trials": 0}}, BadSuite, r"search.trials: .*greater than or equal to 1 \(0 came\)"),
        ({"search": {"trials": 101}}, BadSuite, "search.trials: .*less than or equal to 100"),
        ({"search": {"trails": 3}}, BadSuite, "unknown key 'trails' in search; did you mean trials"),
        ({"search": {"over": []}}, BadSuite, "search.over: is empty; name at least one"),
        ({"search": {"over": ["lr", "lr"]}}, BadSuite, "over names a value twice"),
        ({"search": {"over": ["rl"]}}, UnknownName, "unknown value 'rl' in search.over; .* did you mean lr"),
        (
            {"search": {"over": ["epochs"]}},
            UnknownName,
            "unknown value 'epochs' in search.over; .*grid; known: lr",
        ),
        (
            {"search": {"over": ["dtype"]}},
            BadSuite,
            "dtype cannot be searched; of the training values these can: lr",
        ),
        ({"search": {"grid": {"select": ["loss"]}}}, BadSuite, "select cannot be searched"),
        ({"search": {"grid": {"lr": []}}}, BadSuite, "search.grid.lr: is empty; name at least one"),
        ({"search": {"grid": {"lr": [0.1, -1]}}}, BadSuite, r"search.grid.lr: .*greater than 0 \(-1 came\)"),
        ({"search": {"grid": {"epochs": 0}}}, BadSuite, "search.grid.epochs: .*greater than or equal to 1"),
        ({"search": {"grid": {"lr": ["1e-1", 0.1]}}}, BadSuite, "search.grid.lr names a value twice"),
        (
            {"search": {"grid": {"lr": [0.1]}, "trials": 3}},
            BadSuite,
            "has a grid, or trials over ranges; leave out the",
        ),
        (
            {"search": {"grid": {"lr": [0.1] * 11, "clip": list(range(1, 11))}}},
            BadSuite,
            "the grid has over 100",
        ),
        (
            {"search": {"grid": {"epochs": [1, 2]}, "halving": True}},
            BadSuite,
            "leave epochs out of the search, or",
        ),
        (
            {"search": {"halving": True}, "training": {"epochs": 1}},
            BadSuite,
            "on embedded/agreement trains 1 epoch",
        ),
        ({"search": {"select": "test"}}, BadSuite, "search.select: .*'validation' or 'loss'.*'test' came"),
        ({"search": {"share": "method"}}, BadSuite, "search.share: .*'budget' or 'task'"),
        ({"search": {"sampler": "grid"}}, BadSuite, "search.sampler: .*'halton' or 'sobol'"),
        ({"search": {"seed": -1}}, BadSuite, "search.seed: .*greater than or equal to 0"),
        ({"search": 6}, BadSuite, "search: .*6 came"),
        (
            {"overrides": [{"when": {}, "search": {"trials": 0}}]},
            BadSuite,
            "overrides.0.search.trials: .*greater than or equal to 1",
        ),
        (
            {"overrides": [{"when": {}, "search": {"grid": {"lr": ["fast"]}}}]},
            BadSuite,
            "overrides.0.search.grid.lr: .*number.*'fast' came",
        ),
        (
            {"overrides": [{"when": {}, "search": {"grip": {}}}]},
            BadSuite,
            "unknown key 'grip' in overrides.0.search; did you mean grid",
        ),
        (
            {"methods": [{"lora": {"rank": 2}}], "search": {"grid": {"rank": [2, 4]}}},
            BadSuite,
            "'lora' is given rank = 2 and a search over rank; give one of the two",
        ),
        (
            {"methods": [{"lora": {"budget": 3000}}], "search": {"grid": {"rank": [2, 4]}}},
            BadSuite,
            "'lora' is given its budget, which sets rank, and a search over rank; give one of the two",
        ),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        expansion(**changes)
    assert "\n" not in str(caught.value)


def test_a_grid_over_what_a_method_does_not_know_is_refused_with_what_it_knows() -> None:
    check_grids(searches(search={"grid": {"rank": [1, 2], "lr": [0.1]}}))
    with pytest.raises(UnknownName, match="unknown value 'rnk' in the search of method 'lora'; did you mean rank"):
        check_grids(searches(search={"grid": {"rnk": [1, 2]}}))
    with pytest.raises(UnknownName, match="unknown value 'bach_size' in .*; did you mean batch_size"):
        check_grids(searches(search={"grid": {"bach_size": [1, 2]}}))
