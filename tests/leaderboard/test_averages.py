"""An average is the mean of group means, with the variance of independent tasks, and only of whole rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness import registry
from leaderboard import averages as boards
from leaderboard.averages import Average, average, averages_of, gain, mean_rank, normalised_gain, suite_average
from leaderboard.cells import Cell
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.statistics import score_interval
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers
from tests.leaderboard.simulated import answers as simulated
from tests.leaderboard.simulated import entries

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
    (full,) = (row for row in section.rows if row.method == "full")
    assert suite_average(full.cells, mean).reason == "no number on glue/rte, glue/wnli"


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


PAIR = Average("pair", "Pair", (("up",), ("down",)))
LEVELS = {"base": -1.0, "small": 0.5, "large": 1.2, "full": 1.5}


def table(seeds: int = 3, levels: dict[str, float] | None = None) -> dict[str, dict[str, Cell]]:
    """Return rows of two tasks; the second scores errors, of which fewer are better."""
    levels = levels or LEVELS
    rows: dict[str, dict[str, Cell]] = {name: {} for name in levels}
    for number, task in enumerate(("up", "down")):
        units = simulated(np.random.default_rng(number), 1, list(levels.values()), (seeds, 300), [0.1] * len(levels))[0]
        made = entries(units if task == "up" else 1 - units)
        for name, entry in zip(levels, made.values(), strict=True):
            # Cells of no runs: what averages look at is the numbers alone.
            rows[name][task] = Cell(task, (), (), score_interval(entry), entry)
    return rows


def test_gain_is_the_share_and_the_delta_method() -> None:
    rows = table()
    entry, full, zero = (rows[name]["up"].entry for name in ("small", "full", "base"))
    assert entry is not None
    assert full is not None
    assert zero is not None
    found = gain(entry, full, zero)
    score, top, bottom = (one.units.mean() for one in (entry, full, zero))
    share = (score - bottom) / (top - bottom)
    assert found.estimate == pytest.approx(share)
    one_seed = [one.part([0], one.item_ids) for one in (entry, full, zero)]
    alone = gain(*one_seed)
    # The variance of a ratio of means in closed form: (V(a) - 2 g C(a, b) + g^2 V(b)) / (n mean(b)^2).
    numerator, denominator = (side.units[0] - one_seed[2].units[0] for side in one_seed[:2])
    covariance = np.cov(numerator, denominator)
    ratio = numerator.mean() / denominator.mean()
    variance = covariance[0, 0] - 2 * ratio * covariance[0, 1] + ratio**2 * covariance[1, 1]
    assert alone.error == pytest.approx((variance / 300) ** 0.5 / denominator.mean())


def test_the_normalised_gain_is_the_weighted_mean_of_gains_whatever_the_direction() -> None:
    rows = table()
    found = normalised_gain(rows["large"], rows["full"], rows["base"], PAIR).value
    assert found is not None
    shares = []
    for task in ("up", "down"):
        score, top, bottom = (rows[name][task].interval for name in ("large", "full", "base"))
        assert score is not None
        assert top is not None
        assert bottom is not None
        shares.append((score.estimate - bottom.estimate) / (top.estimate - bottom.estimate))
    assert found.estimate == pytest.approx(np.mean(shares))
    assert 0.7 < found.estimate < 1.1
    assert found.ranks
    ends = (normalised_gain(rows[name], rows["full"], rows["base"], PAIR).value for name in ("base", "full"))
    assert [end.estimate for end in ends if end] == pytest.approx([0, 1])


def test_a_gain_that_cannot_be_given_says_why() -> None:
    rows = table()
    del rows["small"]["down"]
    missing = normalised_gain(rows["small"], rows["full"], rows["base"], PAIR)
    assert missing == (None, "down has no items of the row")
    flat = table()
    unsure = normalised_gain(flat["small"], flat["full"], flat["full"], PAIR)
    assert unsure.value is None
    assert unsure.reason == (
        "up: full fine-tuning is not told apart from the zero point; "
        "down: full fine-tuning is not told apart from the zero point"
    )


def test_the_mean_rank_averages_ranks_and_its_interval_holds_it() -> None:
    rows = table()
    found = mean_rank(rows, PAIR, {"up": True, "down": False})
    for name, outcome in found.items():
        ranks = []
        for task, sign in (("up", -1), ("down", 1)):
            intervals = [row[task].interval for row in rows.values()]
            means = [sign * one.estimate for one in intervals if one]
            ranks.append(stats.rankdata(means)[list(rows).index(name)])
        assert outcome.value is not None
        assert outcome.value.estimate == pytest.approx(np.mean(ranks))
        assert outcome.value.low is not None
        assert outcome.value.high is not None
        assert 1 <= outcome.value.low <= outcome.value.estimate <= outcome.value.high <= 4
    assert sum(one.value.estimate for one in found.values() if one.value) == pytest.approx(10)


def test_who_lacks_a_task_has_no_mean_rank_and_others_are_ranked_without_it() -> None:
    rows = table()
    del rows["small"]["up"]
    found = mean_rank(rows, PAIR, {"up": True, "down": False})
    assert found["small"] == (None, "no comparable number on up")
    assert found["base"].value is not None
    assert found["base"].value.estimate == 3
    alone = mean_rank({"base": rows["base"], "small": rows["small"]}, PAIR, {"up": True, "down": False})
    assert alone["base"] == (None, "fewer than two rows can be compared on up")


def test_one_seed_has_no_mean_rank() -> None:
    found = mean_rank(table(seeds=1), PAIR, {"up": True, "down": False})
    assert {outcome.reason for outcome in found.values()} == {"no comparable number on up, down"}
