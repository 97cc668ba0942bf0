"""Families: blocks of one budget, and in which order their rows stand."""

from __future__ import annotations

from pathlib import Path

from harness.record import Failure
from harness.spec import Budget
from leaderboard.families import Family, families
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from leaderboard.wording import names
from tests.leaderboard.making import Made, answers

TASK = "glue/sst2"


def blocks(folder: Path) -> tuple[Family, ...]:
    (section,) = tabulate(load_records([folder]).runs, {}).sections
    return families(section, names(section.rows))


def write(folder: Path, method: str, budget: int | None, trained: int, wrong: int, seeds: int = 3) -> None:
    for seed in range(seeds):
        made = Made(method, budget=Budget(count=budget) if budget else None, trained=trained, seed=seed)
        made.items = {TASK: answers(200, wrong + seed, seed)}
        made.write(folder)


def methods(family: Family) -> list[str]:
    return [row.method for row in family.rows]


def test_entries_compete_at_their_budget_and_the_best_stands_first(tmp_path: Path) -> None:
    write(tmp_path, "head_only", None, 0, 90)
    write(tmp_path, "fish", 1000, 1000, 90)
    write(tmp_path, "random_mask", 1000, 990, 10)
    write(tmp_path, "lora", 10_000, 9000, 5)
    write(tmp_path, "pst", 10_000, 9999, 5)
    found = blocks(tmp_path)
    assert [methods(family) for family in found] == [["head_only"], ["random_mask", "fish"], ["lora", "pst"]]
    assert [family.alone for family in found] == [True, False, False]
    first, second = found[1].rows
    assert (found[1].place(first, TASK).letters, found[1].place(second, TASK).letters) == (("a",), ("b",))  # type: ignore[union-attr]
    assert found[0].rankings == {}
    assert found[0].place(found[0].rows[0], TASK) is None


def test_entries_alone_at_neighbouring_budgets_share_a_block_and_are_not_ranked(tmp_path: Path) -> None:
    write(tmp_path, "fish", 100, 100, 60)
    write(tmp_path, "random_mask", 1000, 990, 10)
    write(tmp_path, "full", None, 100_000, 5)
    (found,) = blocks(tmp_path)
    assert methods(found) == ["fish", "random_mask", "full"]
    assert (len(found.slices), found.alone, found.rankings) == (3, True, {})


def test_what_cannot_be_ranked_stands_after_what_can(tmp_path: Path) -> None:
    write(tmp_path, "fish", 1000, 1000, 90)
    write(tmp_path, "random_mask", 1000, 990, 10)
    write(tmp_path, "pst", 1000, 900, 0, seeds=1)
    failed = Failure(kind="E", message="m")
    Made("lora", status="failed", error=failed, items={}).write(tmp_path)
    found = blocks(tmp_path)
    assert [methods(family) for family in found] == [["random_mask", "fish", "pst"], ["lora"]]
    assert found[1].slices[0].kind == "unknown"
    assert found[0].place(found[0].rows[2], TASK) is None
