"""An average is the mean of group means, with the variance of independent tasks, and only of whole rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import registry
from leaderboard import averages as boards
from leaderboard.averages import average, averages_of
from leaderboard.cells import tabulate
from leaderboard.load import load_records
from leaderboard.page import build_board
from tests.leaderboard.making import Made, answers

TASKS = ("glue/sst2", "glue/rte", "glue/wnli")
FACTS = ({"name": "toy", "title": "Toy", "groups": {"one": ["glue/sst2"], "two": ["glue/rte", "glue/wnli"]}},)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board knows one average, of three tasks."""
    monkeypatch.setattr(boards, "averages", lambda: FACTS)


def write(folder: Path, seeds: int = 3, tasks: tuple[str, ...] = TASKS) -> None:
    for seed in range(seeds):
        for place, task in enumerate(tasks):
            wrong = {task: answers(40, 4 * (place + 1) + seed, seed)}
            Made(task=task, seed=seed, items=wrong).write(folder)


def test_the_average_is_the_mean_of_group_means_and_variances_add_up(tmp_path: Path, known: None) -> None:
    write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    (mean,) = averages_of(section)
    assert mean.weights == {"glue/sst2": 0.5, "glue/rte": 0.25, "glue/wnli": 0.25}
    cells = section.rows[0].cells
    found = average(cells, mean)
    assert found is not None
    intervals = {task: cells[task].interval for task in TASKS}
    assert all(one is not None and one.error is not None for one in intervals.values())
    scores = {task: 1 - (4 * (place + 1) + 1) / 40 for place, task in enumerate(TASKS)}  # the mean of seeds 0 to 2
    assert found.estimate == pytest.approx(0.5 * scores[TASKS[0]] + 0.25 * (scores[TASKS[1]] + scores[TASKS[2]]))
    variance = sum((mean.weights[task] * (one.error or 0)) ** 2 for task, one in intervals.items() if one)
    assert found.error == pytest.approx(variance**0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.estimate == pytest.approx(found.estimate - found.low)
    assert found.ranks
    assert min(one.degrees or 0 for one in intervals.values() if one) <= (found.degrees or 0)


def test_a_row_that_lacks_a_task_has_no_average(tmp_path: Path, known: None) -> None:
    write(tmp_path)
    Made(method="full", task="glue/sst2", items={"glue/sst2": answers(40, 3)}).write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    (mean,) = averages_of(section)
    found = {row.method: average(row.cells, mean) for row in section.rows}
    assert found["full"] is None
    assert found["lora"] is not None


def test_a_section_that_lacks_a_task_has_no_such_column(tmp_path: Path, known: None) -> None:
    write(tmp_path, tasks=TASKS[:2])
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    assert averages_of(section) == ()


def test_one_seed_has_an_average_that_never_ranks(tmp_path: Path, known: None) -> None:
    write(tmp_path, seeds=1)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    found = average(section.rows[0].cells, averages_of(section)[0])
    assert found is not None
    assert not found.ranks
    assert found.basis == "items only"


def test_the_page_and_its_downloads_show_it(tmp_path: Path, known: None) -> None:
    write(tmp_path / "records")
    page = build_board([tmp_path / "records"], tmp_path / "site").page
    assert "toy average" in page.read_text(encoding="utf-8")
    lines = (tmp_path / "site" / "cells.csv").read_text(encoding="utf-8").splitlines()
    assert sum(",toy average,average," in line for line in lines) == 1


def test_shipped_averages_name_known_tasks_once() -> None:
    names = []
    for facts in registry.averages():
        groups = facts.get("groups") or {"all": facts["tasks"]}
        assert isinstance(groups, dict)
        tasks = [str(task) for group in groups.values() for task in group]  # type: ignore[union-attr]  # lists of names
        assert len(set(tasks)) == len(tasks)
        assert set(tasks) <= registry.tasks().keys()
        names.append(str(facts["name"]))
    assert len(set(names)) == len(names)


def test_tasks_without_any_spread_give_an_average_without_an_interval(tmp_path: Path, known: None) -> None:
    write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    (mean,) = averages_of(section)
    cells = section.rows[0].cells
    flat = {
        task: replace(cell, interval=cell.interval._replace(error=0.0)) for task, cell in cells.items() if cell.interval
    }
    found, usual = average(flat, mean), average(cells, mean)
    assert found is not None
    assert usual is not None
    assert (found.estimate, found.low, found.high, found.error) == (usual.estimate, None, None, None)
    assert found.basis == "none of its tasks shows a spread"
