"""Tabulation: what stands together, what stands apart, and what is marked."""

from __future__ import annotations

from pathlib import Path

from harness.record import Failure
from harness.spec import Budget
from leaderboard.cells import Section
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers, card

TASK = "glue/sst2"
ITEMS = {TASK: answers(50, 10)}
FAILED = Failure(kind="E", message="m")


def sections(folder: Path, stale: dict[str, str] | None = None) -> tuple[Section, ...]:
    return tabulate(load_records([folder]).runs, stale or {}).sections


def test_policies_sizes_and_data_seeds_never_share_a_table(tmp_path: Path) -> None:
    for facts in ({}, {"policy": "as_published"}, {"sizes": {"train": 100}}, {"data_seed": 1}, {"seed": 1}):
        seed = facts.pop("seed", 0)
        Made(seed=seed, items=ITEMS, spec=facts).write(tmp_path)  # type: ignore[arg-type]
    assert len(sections(tmp_path)) == 4


def test_sizes_that_only_differ_between_tasks_share_a_table(tmp_path: Path) -> None:
    for task, size in ((TASK, 2000), ("glue/rte", 600)):
        for seed in (0, 1):
            sizes = {"sizes": {"train": size}}
            Made(task=task, seed=seed, items={task: answers(50, 10)}, spec=sizes).write(tmp_path)
    (section,) = sections(tmp_path)
    assert [column.task for column in section.columns] == ["glue/rte", TASK]
    assert section.ground.sizes == "differ by task, see the runs"


def test_methods_values_budgets_and_targets_are_rows_by_size(tmp_path: Path) -> None:
    Made(method="full", trained=1000, items=ITEMS).write(tmp_path)
    Made(values={"rank": 8}, trained=80, items=ITEMS).write(tmp_path)
    Made(values={"rank": 4}, trained=40, items=ITEMS).write(tmp_path)
    Made(method="random_mask", budget=Budget(fraction=0.001), trained=22, items=ITEMS).write(tmp_path)
    Made(method="random_mask", budget=Budget(fraction=0.001), targets="mlp", trained=22, items=ITEMS).write(tmp_path)
    (section,) = sections(tmp_path)
    found = [(row.label, row.targets) for row in section.rows]
    assert found == [
        ("random_mask 0.1 %", "linear"),
        ("random_mask 0.1 %", "mlp"),
        ("lora rank 4", "linear"),
        ("lora rank 8", "linear"),
        ("full", "linear"),
    ]


def test_values_tuned_per_task_stay_one_row_but_two_answers_of_one_seed_split_it(tmp_path: Path) -> None:
    other = {"glue/rte": answers(50, 20)}
    Made(items=ITEMS, spec={"training": {"lr": 1e-3}}).write(tmp_path)
    Made(task="glue/rte", items=other, spec={"training": {"lr": 1e-2}}).write(tmp_path)
    ((row,),) = ([*section.rows] for section in sections(tmp_path))
    assert row.settings == ()
    Made(items=ITEMS, spec={"training": {"lr": 1e-3, "epochs": 9}}).write(tmp_path)
    (section,) = sections(tmp_path)
    found = [(dict(row.settings), [task for task, cell in row.cells.items() if cell.runs]) for row in section.rows]
    assert found == [({"epochs": "3"}, ["glue/rte", "glue/sst2"]), ({"epochs": "9"}, ["glue/sst2"])]


def test_trials_are_counted_and_not_shown(tmp_path: Path) -> None:
    Made(items=ITEMS).write(tmp_path)
    Made(items=ITEMS, spec={"purpose": "trial", "training": {"lr": 0.1}}).write(tmp_path)
    (section,) = sections(tmp_path)
    assert section.num_trials == 1
    assert len(section.rows[0].cells[TASK].runs) == 1


def test_stale_superseded_and_mixed_are_marked(tmp_path: Path) -> None:
    old = card(TASK) | {"version": 1}
    new = card(TASK) | {"version": 2}
    environment = {"versions": {"torch": "2.12"}, "threads": 1, "commit": "a"}
    for seed in range(3):
        Made(seed=seed, items=ITEMS, cards={TASK: old}, environment=environment).write(tmp_path)
        facts = {"versions": {"torch": f"2.{12 + seed}"}, "threads": 1, "commit": f"{seed}"}
        Made(method="bitfit", seed=seed, items=ITEMS, cards={TASK: new}, environment=facts).write(tmp_path)
    runs = load_records([tmp_path]).runs
    stale = next(run.run_id for run in runs if run.record.spec.method == "bitfit")
    (section,) = sections(tmp_path, {stale: "fit has changed"})
    rows = {row.method: row for row in section.rows}
    assert rows["lora"].cells[TASK].marks == ("superseded: task version 1, newest 2",)
    assert rows["bitfit"].cells[TASK].marks == ("stale: fit has changed",)
    assert not rows["lora"].cells[TASK].comparable
    assert not rows["bitfit"].cells[TASK].comparable
    assert (rows["lora"].mixed, rows["bitfit"].mixed, section.mixed) == ((), ("torch",), ("torch",))
