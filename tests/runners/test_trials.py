"""Trials of a search: what wins, what loses, what says nothing, and what is asked for next; nothing is run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.search import bill as bill_of
from tests.runners.searching import GRID, METRIC, bill, end, record, started

ENDS = st.tuples(
    st.sampled_from(["ok", "ok", "ok", "diverged", "failed", "out_of_memory", "timed_out"]),
    st.sampled_from([0.0, 0.5, 0.75, None]),
    st.sampled_from([0.5, 1.0, None]),
)


# What wins


@settings(max_examples=60)
@given(st.lists(ENDS, min_size=4, max_size=4), st.permutations(range(4)), st.sampled_from(["validation", "loss"]))
def test_the_winner_and_the_bill_do_not_depend_on_the_order_in_which_trials_end(
    ends: list[tuple[Any, Any, Any]], order: list[int], select: str
) -> None:
    told = []
    for places in (range(4), order):
        found, trials = started(search={"grid": {"lr": GRID}, "select": select})
        records = [record(spec, m, loss, status=s) for spec, (s, m, loss) in zip(trials, ends, strict=True)]
        finals = end(found, [records[place] for place in places])
        told.append((finals, [found.bill(final) for final in finals]))
    assert told[0] == told[1]
    usable = [
        (metric, loss)
        for status, metric, loss in ends
        if status == "ok" and (metric if select == "validation" else loss) is not None
    ]
    finals = told[0][0]
    assert [spec.seed for spec in finals] == ([0, 1] if usable else [])
    if usable:
        first, second = ends[GRID.index(finals[0].training.lr)][1:]
        best = max(m for m, _ in usable) if select == "validation" else min(loss for _, loss in usable)
        assert (first if select == "validation" else second) == best


def test_finals_are_trained_anew_with_the_values_of_the_best_trial() -> None:
    found, trials = started()
    assert [(spec.training.lr, spec.purpose, spec.seed) for spec in trials] == [(rate, "trial", 0) for rate in GRID]
    ended = [record(spec, metric) for spec, metric in zip(trials, (0.5, 0.6, 0.9, 0.7), strict=True)]
    assert end(found, ended[:3]) == []
    finals = found.after(ended[3])
    assert [(spec.training.lr, spec.purpose, spec.seed) for spec in finals] == [(0.3, "final", 0), (0.3, "final", 1)]
    assert end(found, ended) == []  # nothing is given out twice
    assert found.after(record(finals[0])) == []


@pytest.mark.parametrize(
    ("ends", "select", "lr"),
    [
        ([(0.9, 2.0), (0.9, 1.0), (0.9, 1.0), (0.8, 0.1)], "validation", 0.2),  # ties: loss, then the first
        ([(0.9, 2.0), (0.1, 0.5), (0.9, 1.0), (0.2, 0.5)], "loss", 0.4),  # ties: metric
        ([(0.9, None), (0.9, 3.0), (0.9, None), (0.8, 0.1)], "validation", 0.2),
        ([(None, 0.1), (0.2, 3.0), (0.1, 2.0), (None, 0.1)], "validation", 0.2),
    ],
)
def test_ties_go_to_the_other_number_and_then_to_the_first(ends: list[Any], select: str, lr: float) -> None:
    found, trials = started(search={"grid": {"lr": GRID}, "select": select})
    finals = end(found, [record(spec, *one) for spec, one in zip(trials, ends, strict=True)])
    assert {spec.training.lr for spec in finals} == {lr}


def test_a_metric_that_should_be_low_wins_low() -> None:
    found, trials = started()
    cards = {trials[0].train: {"metric": {**METRIC, "higher_is_better": False}}}
    ended = [record(spec, metric, task_cards=cards) for spec, metric in zip(trials, (0.5, 0.2, 0.1, 0.9), strict=True)]
    assert {spec.training.lr for spec in end(found, ended)} == {0.3}


# What loses, and what says nothing


def test_trials_that_end_badly_count_and_lose() -> None:
    found, trials = started()
    statuses = ("diverged", "ok", "out_of_memory", "timed_out")
    finals = end(found, [record(spec, status=status) for spec, status in zip(trials, statuses, strict=True)])
    told = bill(found, finals[0])
    assert (told["num_trials"], told["statuses"]) == (
        4,
        {"diverged": 1, "ok": 1, "out_of_memory": 1, "timed_out": 1},
    )
    assert told["chosen"] == {"lr": 0.2}


@pytest.mark.parametrize("status", ["lost", "cancelled"])
def test_a_search_waits_for_a_trial_that_was_lost_or_cancelled(status: str) -> None:
    found, trials = started()
    assert end(found, [record(spec) for spec in trials[:3]]) == []
    assert found.after(record(trials[3], status=status)) == []
    assert len(found.after(record(trials[3], 0.9))) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"status": "diverged"},
            r"no trial of its search gave values to choose \(4 diverged\); the first: it diverged",
        ),
        ({"metric": None}, r"no trial of its search gave values to choose \(4 ok, none with a validation metric\)$"),
    ],
)
def test_finals_of_a_search_that_chose_nothing_are_not_run(changes: dict[str, Any], reason: str) -> None:
    found, trials = started()
    assert end(found, [record(spec, **changes) for spec in trials]) == []
    (one,) = found
    stage = one.stage()
    assert (stage.problem, stage.winner) == ("cancelled", None)
    (asked, _) = one.search.finals
    assert re.search(reason, one.reason(asked, stage))
    assert bill_of(one, stage)["chosen"] is None


def test_a_shared_search_goes_on_to_the_next_budget_that_the_method_can_meet() -> None:
    budgets = [{"lora": {"budget": [1, 3000, 2]}}]
    found, trials = started(methods=budgets, search={"grid": {"lr": GRID}, "share": "task"})
    assert {str(spec.budget) for spec in trials} == {"2"}
    refused = [record(spec, status="not_applicable") for spec in trials]
    below = end(found, refused)
    assert {str(spec.budget) for spec in below} == {"1"}
    above = end(found, [record(spec, status="not_applicable") for spec in below])
    assert {str(spec.budget) for spec in above} == {"3,000"}
    finals = end(found, [record(spec) for spec in above])
    assert [str(spec.budget) for spec in finals] == ["1", "1", "3,000", "3,000", "2", "2"]
    told = bill(found, finals[0])
    assert (told["budget"], told["num_trials"], told["share"]) == ("3,000", 4, "task")


def test_where_no_budget_can_be_met_each_final_says_why() -> None:
    found, trials = started(methods=[{"lora": {"budget": [1, 2]}}], search={"grid": {"lr": GRID}, "share": "task"})
    first = end(
        found, [record(spec, status="not_applicable", error={"kind": "N", "message": "1 is few"}) for spec in trials]
    )
    end(found, [record(spec, status="not_applicable", error={"kind": "N", "message": "2 is few"}) for spec in first])
    (one,) = found
    stage = one.stage()
    assert stage.problem == "not_applicable"
    assert [one.reason(final, stage) for final in one.search.finals] == ["1 is few"] * 2 + ["2 is few"] * 2


# Halving


def test_halving_trains_the_best_quarter_anew_for_all_epochs() -> None:
    grid = {"lr": [0.1, 0.2, 0.3, 0.4, 0.5]}
    found, first = started(search={"grid": grid, "halving": True}, training={"epochs": 8})
    assert {spec.training.epochs for spec in first} == {2}
    assert len(first) == 5
    ended = [record(spec, metric) for spec, metric in zip(first, (0.1, 0.9, 0.2, 0.8, 0.7), strict=True)]
    (one,) = found
    assert one.stage().num_left == 5 + 2
    second = end(found, [*ended[3:], *ended[:3]])
    assert [(spec.training.lr, spec.training.epochs, spec.purpose) for spec in second] == [
        (0.2, 8, "trial"),
        (0.4, 8, "trial"),
    ]
    finals = end(found, [record(second[1], 0.95), record(second[0], 0.9)])
    assert {(spec.training.lr, spec.training.epochs, spec.purpose) for spec in finals} == {(0.4, 8, "final")}
    told = bill(found, finals[0])
    assert (told["halving"], told["num_trials"], told["num_epochs"]) == (True, 7, 5 * 2 + 2 * 8)
    assert [trial["ended_by"] for trial in told["trials"]] == ["halving", None, "halving", None, "halving", None, None]
