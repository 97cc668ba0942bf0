"""Every search of a suite: the bill of each, what is flagged, and what waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runners.search import doubts
from tests.runners.searching import GRID, bill, end, record, started


def test_the_bill_says_what_the_search_cost_and_chose() -> None:
    found, trials = started(methods=[{"random_mask": {"budget": "1%"}}], policy="as_published", training={"epochs": 3})
    metrics = (0.5, 0.6, 0.7, 0.9)
    ended = [record(spec, metric, 2 * metric) for spec, metric in zip(trials, metrics, strict=True)]
    told = bill(found, end(found, ended)[0])
    (one,) = found
    assert told == {
        "search": one.search.id,
        "over": ["lr"],
        "sampler": "grid",
        "seed": None,
        "select": "validation",
        "selected_on": "the reported split",
        "share": "budget",
        "budget": "1 %",
        "halving": False,
        "num_trials": 4,
        "num_epochs": 12,
        "statuses": {"ok": 4},
        "seconds": 5.0,
        "trials": [
            {"run_id": spec.run_id, "values": {"lr": lr}, "status": "ok", "metric": metric, "loss": 2 * metric}
            for spec, lr, metric in zip(trials, GRID, metrics, strict=True)
        ],
        "chosen": {"lr": 0.4},
        "edges": ["lr 0.4 is the largest tried"],
        "unequal": None,
    }
    assert doubts(one, one.stage()) == ["lr 0.4 is the largest tried", "chosen on the reported split"]


@pytest.mark.parametrize(
    ("grid", "winner", "edges"),
    [
        ({"lr": [0.1, 0.2, 0.3]}, 1, []),
        ({"lr": [0.3, 0.1, 0.2]}, 1, ["lr 0.1 is the smallest tried"]),
        ({"lr": [0.2]}, 0, []),
        ({"schedule": ["linear", "constant"]}, 1, []),
        (
            {"lr": [0.1, 0.2, 0.3], "batch_size": [8, 16]},
            5,
            ["lr 0.3 is the largest tried", "batch_size 16 is the largest tried"],
        ),
    ],
)
def test_a_winner_at_the_end_of_what_was_tried_is_flagged(grid: Any, winner: int, edges: list[str]) -> None:
    found, trials = started(search={"grid": grid})
    finals = end(found, [record(spec, 0.9 if place == winner else 0.1) for place, spec in enumerate(trials)])
    assert bill(found, finals[0])["edges"] == edges


def test_runs_without_a_search_have_no_bill_and_wait_for_nothing() -> None:
    found, first = started(methods=["base", "head_only"])
    assert [(spec.method, spec.purpose) for spec in first[:3]] == [("base", "final")] * 2 + [("head_only", "trial")]
    assert found.after(record(first[0])) == []
    assert found.bill(first[0]) is None
    assert found.bill(first[2]) is None


def test_the_record_of_a_final_stays_small_with_the_longest_bill() -> None:
    grid = {"lr": [rate / 1000 for rate in range(1, 51)], "batch_size": [8, 16]}
    found, trials = started(search={"grid": grid})
    assert len(trials) == 100
    finals = end(found, [record(spec, 1 / 3, 1 / 7) for spec in trials])
    told = record(finals[0], search=found.bill(finals[0]))
    assert len(told.to_json()) < 35_000  # a record is under 50 KB, and 15 are more than the rest of one takes
