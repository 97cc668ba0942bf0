"""A method's curves over budgets and learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.record import EpochMetrics
from harness.spec import Budget
from leaderboard.load import load_records
from leaderboard.methodfigures import RATE, Plan, method_plans, runs_by_method, sensitivity
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import TASKS, write_small_board


def epochs(*values: float | None) -> list[EpochMetrics]:
    return [
        EpochMetrics(epoch=number, train_loss=1.0, validation_loss=1.0, metrics={"accuracy": value})
        for number, value in enumerate(values, 1)
    ]


def plans_of(folder: Path, method: str) -> list[Plan]:
    site = Site.of(load_records([folder]))
    return list(method_plans(site.sections, runs_by_method(site.runs), method))


def write(folder: Path, **facts: Any) -> None:
    made = Made("lora", **facts)
    made.items = {"glue/sst2": answers(40, 4, made.seed)}
    made.write(folder)


def write_searched(folder: Path) -> None:
    """Write two trials and two finals at one budget, and a trial at another."""
    small, large = Budget(count=1000), Budget(count=5000)
    for rate, value in ((1e-3, 0.70), (1e-2, 0.80)):
        trial = {"purpose": "trial", "training": {"lr": rate}}
        write(folder, budget=small, spec=trial, validation=epochs(0.9, value), trained=1000)
    for seed, value in ((1, 0.82), (2, 0.87)):
        final = {"training": {"lr": 1e-2}}
        write(folder, budget=small, seed=seed, spec=final, validation=epochs(value), trained=1000)
    trial = {"purpose": "trial", "training": {"lr": 1e-3}}
    write(folder, budget=large, spec=trial, validation=epochs(0.75), trained=5000)


def test_learning_rates_join_trials_and_finals_by_budget(tmp_path: Path) -> None:
    write_searched(tmp_path)
    found = sensitivity(load_records([tmp_path]).runs, "accuracy")
    assert {asked: [(one.rate, one.values, one.num_trials) for one in line] for asked, line in found.items()} == {
        "1,000": [(1e-3, (0.70,), 1), (1e-2, (0.80, 0.82, 0.87), 1)],
        "5,000": [(1e-3, (0.75,), 1)],
    }


def test_a_run_without_validation_is_in_no_curve(tmp_path: Path) -> None:
    write(tmp_path, validation=epochs(None))
    write(tmp_path, seed=1)
    assert sensitivity(load_records([tmp_path]).runs, "accuracy") == {}


def test_the_figure_of_learning_rates_names_the_best_and_counts_trials(tmp_path: Path) -> None:
    write_searched(tmp_path)
    (plan,) = plans_of(tmp_path, "lora")
    drawing = plan.drawing()
    assert (drawing.across, drawing.up, drawing.numbers) == (RATE, "validation accuracy, %", "~e")
    assert [(one.name, len(one.points)) for one in drawing.series] == [("1,000", 2), ("5,000", 1)]
    best = drawing.series[0].points[1]
    assert (best.x, best.y, best.low, best.high) == pytest.approx((1e-2, 83, 80, 87))
    ((about, text),) = plan.sentences
    assert about == "Best on validation"
    assert text == "0.01 for 1,000 (83.0) and 0.001 for 5,000 (75.0). 3 search trials among them."


def test_budgets_are_curves_of_all_tasks_with_one_kind_of_score(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    plans = plans_of(tmp_path, "random_mask")
    assert sorted(plan.up for plan in plans) == ["Matthews correlation", "accuracy, %"]
    assert sorted(plan.title.rpartition(": ")[2] for plan in plans) == ["glue/cola by budget", "glue/sst2 by budget"]
    for plan in plans:
        ((series),) = plan.drawing().series
        assert series.name in TASKS
        assert [point.x for point in series.points] == [2271, 227_132]
    assert "with 2,271 and 89.0 with 227,132." in " ".join(text for plan in plans for _, text in plan.sentences)


@pytest.mark.parametrize("method", ["head_only", "lora", "full"])
def test_one_size_is_a_number_and_no_curve(tmp_path: Path, method: str) -> None:
    write_small_board(tmp_path)
    assert plans_of(tmp_path, method) == []


def write_values(folder: Path, *tasks: str) -> None:
    """Write one method with two values at each of two budgets: four entries in two sizes."""
    for task in tasks:
        for samples, wrong in (("16", 8), ("256", 4)):
            for trained in (1_000, 5_000):
                facts = {"values": {"samples": samples}, "budget": Budget(count=trained), "trained": trained}
                made = Made("fish", task=task, **facts)
                made.items = {task: answers(40, wrong, 0)}
                made.write(folder)


def test_values_of_equal_size_are_curves_of_their_own(tmp_path: Path) -> None:
    write_values(tmp_path, "glue/sst2")
    (plan,) = plans_of(tmp_path, "fish")
    assert [(one.name, [point.x for point in one.points]) for one in plan.series] == [
        ("samples 16", [1_000, 5_000]),
        ("samples 256", [1_000, 5_000]),
    ]
    assert len({one.colour for one in plan.series}) == 2
    assert plan.sentences[0] == ("samples 16", "80.0 with 1,000 and 80.0 with 5,000.")


def test_values_of_equal_size_are_curves_of_their_own_on_each_task(tmp_path: Path) -> None:
    write_values(tmp_path, "glue/sst2", "glue/rte")
    (plan,) = plans_of(tmp_path, "fish")
    assert [one.name for one in plan.series] == [
        "glue/rte, samples 16",
        "glue/rte, samples 256",
        "glue/sst2, samples 16",
        "glue/sst2, samples 256",
    ]
    assert [(one.hue, one.variant) for one in plan.series] == [(1, 0), (1, 1), (2, 0), (2, 1)]
