"""Bills of searches, and what each learning rate gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.record import EpochMetrics
from harness.spec import Budget
from leaderboard.columns import column_of
from leaderboard.load import load_records
from leaderboard.searches import asked_of, bill_of, bills, sensitivity
from tests.leaderboard.making import Made, answers

TASK = "glue/sst2"


def bill(**facts: Any) -> dict[str, Any]:
    """Return a bill of two trials, as records hold it."""
    trials = [
        {"run_id": f"{rate}", "values": {"lr": rate}, "status": "ok", "metric": metric, "loss": 0.5}
        for rate, metric in ((1e-3, 0.7), (1e-2, 0.9))
    ]
    made = {
        "search": "s1",
        "over": ["lr"],
        "sampler": "halton",
        "seed": 0,
        "select": "validation",
        "selected_on": "validation",
        "share": "task",
        "budget": "1 %",
        "halving": False,
        "num_trials": 2,
        "num_epochs": 6,
        "statuses": {"ok": 2},
        "seconds": 12.5,
        "trials": trials,
        "chosen": {"lr": 1e-2},
        "edges": ["lr 0.01 is the largest tried"],
        "unequal": None,
    }
    return made | facts


def final(seed: int, search: dict[str, Any] | None, rate: float = 1e-2, wrong: int = 3) -> Made:
    made = Made(seed=seed, budget=Budget(fraction=0.01), bill=search, spec={"training": {"lr": rate}})
    made.items = {TASK: answers(20, wrong, seed)}
    made.validation = [EpochMetrics(epoch=1, train_loss=1.0, validation_loss=1.0, metrics={"accuracy": 0.8})]
    return made


def test_a_bill_is_read_and_charged_once_to_all_its_finals(tmp_path: Path) -> None:
    for seed in range(3):
        final(seed, bill()).write(tmp_path)
    (charged,) = bills(load_records([tmp_path]).runs)
    assert (charged.bill.num_trials, charged.bill.seconds, charged.bill.chosen) == (2, 12.5, {"lr": 0.01})
    assert (len(charged.finals), charged.tasks) == (3, (TASK,))


def test_a_bill_that_makes_no_sense_is_no_bill_and_no_error(tmp_path: Path) -> None:
    for seed, strange in enumerate(({"search": 1}, bill(trials="none"), bill(seconds="long"), bill(over=None), None)):
        final(seed, strange).write(tmp_path)
    runs = load_records([tmp_path]).runs
    assert [bill_of(run) for run in runs] == [None] * 5
    assert bills(runs) == ()


def test_each_rate_tells_its_trials_finals_and_edges(tmp_path: Path) -> None:
    for seed in range(2):
        final(seed, bill()).write(tmp_path)
    runs = load_records([tmp_path]).runs
    (rates,) = sensitivity(runs, (), column_of(TASK, runs))
    low, high = rates.rates
    assert (rates.task, rates.asked) == (TASK, "1 %")
    assert (low.rate, low.num_trials, len(low.finals), low.validation, low.score) == (1e-3, 1, 0, 0.7, None)
    assert (high.rate, high.num_trials, len(high.finals)) == (1e-2, 1, 2)
    assert high.score == 0.85
    assert high.validation is not None
    assert abs(high.validation - (0.9 + 0.8 + 0.8) / 3) < 1e-9
    assert (low.edges, high.edges) == ((), ("lr 0.01 is the largest tried",))


def test_a_trial_with_its_own_record_counts_once(tmp_path: Path) -> None:
    trial = final(0, None, rate=1e-3)
    trial.spec |= {"purpose": "trial"}
    told = bill(trials=[{"run_id": trial.run_id, "values": {"lr": 1e-3}, "metric": 0.8}])
    trial.write(tmp_path / "trials")
    final(0, told).write(tmp_path / "finals")
    finals, trials = (load_records([tmp_path / name]).runs for name in ("finals", "trials"))
    (rates,) = sensitivity(finals, trials, column_of(TASK, finals))
    assert [(rate.rate, rate.num_trials, len(rate.finals)) for rate in rates.rates] == [(1e-3, 1, 0), (1e-2, 0, 1)]


def test_what_was_asked_leaves_out_what_a_search_chose(tmp_path: Path) -> None:
    made = final(0, bill(over=["alpha"]))
    made.values = {"alpha": 3, "rank": 8}
    made.write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    assert asked_of(run) == "1 %, rank 8"
    Made(items={TASK: answers(10, 2)}).write(tmp_path / "other")
    (plain,) = load_records([tmp_path / "other"]).runs
    assert asked_of(plain) == "one size"
