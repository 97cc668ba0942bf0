"""The columns that put tasks together."""

from __future__ import annotations

from pathlib import Path

from harness.spec import Budget
from leaderboard.averages import Outcome
from leaderboard.load import load_records
from leaderboard.overall import PERCENT, RANK, basis, gains, outcome_cell, ranks
from leaderboard.sheet import Sheet
from leaderboard.site import Site
from leaderboard.statistics import Interval
from tests.leaderboard.making import Made, answers

TASKS = ("glue/rte", "glue/sst2")


def sheet(folder: Path, wrong: dict[str, int]) -> Sheet:
    for method, number in wrong.items():
        trained = {"base": 0, "full": 22_713_216}.get(method, 1000)
        budget = Budget(count=1000) if trained == 1000 else None
        for seed in range(3):
            for task in TASKS:
                made = Made(method, budget=budget, trained=trained, task=task, seed=seed)
                made.items = {task: answers(200, number + seed, 7)}
                made.write(folder)
    (found,) = Site.of(load_records([folder])).sheets
    return found


def column(found: Sheet, name: str) -> dict[str, str]:
    of = basis(found.section)
    assert of is not None
    cell = gains(found.section, of) if name == "gains" else ranks(found.section, of)
    assert cell is not None
    return {row.method: cell(row, family) for family in found.families for row in family.rows}


def test_gains_run_from_the_frozen_backbone_to_full_fine_tuning(tmp_path: Path) -> None:
    found = column(sheet(tmp_path, {"base": 100, "full": 20, "lora": 40}), "gains")
    assert found["base"].startswith("<td class=m>0.0 ")
    assert found["full"].startswith("<td class=m>100.0 ")
    assert found["lora"].startswith("<td class=m>75.0 ")


def test_without_full_fine_tuning_there_is_no_gain(tmp_path: Path) -> None:
    found = sheet(tmp_path, {"base": 100, "lora": 40})
    of = basis(found.section)
    assert of is not None
    assert gains(found.section, of) is None


def test_ranks_are_among_the_entries_of_one_budget(tmp_path: Path) -> None:
    found = column(sheet(tmp_path, {"full": 1, "lora": 40, "fish": 80}), "ranks")
    assert found["full"] == '<td class=n title="alone at its budget">—'
    assert found["lora"].startswith("<td class=m>1.0 <i>1.0–")
    assert found["fish"].startswith("<td class=m>2.0 ")


def test_one_task_has_nothing_to_average(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    (found,) = Site.of(load_records([tmp_path])).sheets
    assert basis(found.section) is None


def test_a_missing_average_says_why_on_demand() -> None:
    assert (
        outcome_cell(Outcome(None, '"x" has no number'), PERCENT) == '<td class=n title="&#34;x&#34; has no number">—'
    )
    bare = Interval(1.5, None, None, 1, 9, "no spread")
    assert outcome_cell(Outcome(bare), RANK) == '<td class=m>1.5 <i title="no spread">no interval</i>'
