"""Which cells may be compared: each way in which two sides can differ is named, and keeps a comparison from passing."""

from __future__ import annotations

from pathlib import Path

from harness.record import Failure
from leaderboard.load import load_records
from leaderboard.matching import Match, cells_of, match
from tests.leaderboard.making import Judged, Made, card
from tests.leaderboard.regressing import TASK, scored, write


def matches(base: Path, new: Path, stale: dict[str, str] | None = None) -> list[Match]:
    old, now = load_records([base]).runs, load_records([new]).runs
    judged = Judged(stale or {}).stale(run.record for run in now)
    return match(cells_of(old, {}).cells, cells_of(now, judged).cells)


def lacks(base: Path, new: Path, stale: dict[str, str] | None = None) -> list[str]:
    return [one.lack() for one in matches(base, new, stale)]


def test_cells_of_equal_seeds_and_items_lack_nothing(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1)
    (one,) = matches(base, new)
    assert one.lack() == ""
    assert not one.same
    assert one.either.group == "small: package:tiny/model, classify, held_out"
    assert one.either.name == "glue/sst2, lora, linear"
    old, now = one.sides()
    assert old.item_ids == now.item_ids
    assert old.units.shape == now.units.shape == (3, 200)


def test_other_training_is_the_same_cell_and_other_values_are_not(tmp_path: Path) -> None:
    base = write(tmp_path / "base", values={"rank": 8})
    assert lacks(base, write(tmp_path / "lr", trained=1, values={"rank": 8}, spec={"training": {"lr": 0.1}})) == [""]
    assert lacks(base, write(tmp_path / "rank", trained=1, values={"rank": 4})) == [
        "extra: the baseline has no such cell",
        "missing: only the baseline has it",
    ]


def test_a_task_that_was_left_out_changes_nothing_about_other_cells(tmp_path: Path) -> None:
    # Sizes that differ by task share a table, so that they are called otherwise where one task is alone.
    base = write(tmp_path / "base", spec={"sizes": {"train": 100}})
    new = write(tmp_path / "new", trained=1, spec={"sizes": {"train": 100}})
    Made(task="glue/rte", items={"glue/rte": scored(0.8, 0, 0)}, spec={"sizes": {"train": 50}}).write(base)
    assert sorted(lacks(base, new)) == ["", "missing: only the baseline has it"]


def test_more_seeds_are_no_harm_and_fewer_are(tmp_path: Path) -> None:
    three, four = write(tmp_path / "three"), write(tmp_path / "four", trained=1, seeds=range(4))
    assert lacks(three, four) == [""]
    (one,) = matches(three, four)
    assert one.sides()[1].units.shape == (3, 200)
    assert lacks(four, three) == ["seeds 3 of the baseline were not run"]


def test_one_seed_a_stale_run_and_a_failed_one_are_no_data(tmp_path: Path) -> None:
    base, one = write(tmp_path / "base"), write(tmp_path / "one", trained=1, seeds=[0])
    assert lacks(base, one) == ["one seed in the new records"]
    assert lacks(one, base) == ["one seed in the baseline"]
    new = write(tmp_path / "new", trained=1)
    assert lacks(base, new, {Made(seed=1).run_id: "its code changed"}) == [
        "stale (its code changed) in the new records"
    ]
    bad = write(tmp_path / "bad", trained=1, seeds=[0, 1])
    Made(seed=2, status="diverged", error=Failure(kind="Diverged", message="loss is NaN")).write(bad)
    assert lacks(base, bad) == ["2 of 3 seeds (diverged) in the new records"]
    worse = tmp_path / "worse"
    for seed in range(3):
        Made(seed=seed, status="out_of_memory", error=Failure(kind="MemoryError", message="")).write(worse)
    assert lacks(base, worse) == ["out of memory in the new records"]


def test_other_items_metrics_or_versions_are_no_data(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    assert lacks(base, write(tmp_path / "dropped", trained=1, num_items=199)) == [
        "items differ: of 200 of the baseline 1 are gone, 0 are new"
    ]
    assert lacks(base, write(tmp_path / "f1", trained=1, cards={TASK: card(TASK, "f1")})) == [
        "the metric was accuracy and is f1"
    ]
    newer = {TASK: {**card(TASK), "version": 2}}
    assert lacks(base, write(tmp_path / "newer", trained=1, cards=newer)) == ["the version of the task was 1 and is 2"]


def test_equal_items_with_other_references_are_no_data(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1)
    for file in new.rglob("record.json"):
        file.write_text(file.read_text().replace('"items_digest": "x"', '"items_digest": "y"'))
    assert lacks(base, new) == ["items differ: the same ones have other references"]


def test_all_right_on_both_sides_can_be_compared(tmp_path: Path) -> None:
    assert lacks(write(tmp_path / "base", chance=1.0), write(tmp_path / "new", chance=1.0, trained=1)) == [""]


def test_what_applies_on_neither_side_was_never_promised(tmp_path: Path) -> None:
    for side in ("base", "new"):
        for seed in range(2):
            error = Failure(kind="NotApplicable", message="smallest is 9")
            Made(seed=seed, status="not_applicable", error=error).write(tmp_path / side)
    (one,) = matches(tmp_path / "base", tmp_path / "new")
    assert one.lack() == "not applicable in the baseline"
    assert one.never_applied
    (other,) = matches(tmp_path / "base", write(tmp_path / "ran", trained=1))
    assert not other.never_applied


def test_environment_facts_that_differ_are_named(tmp_path: Path) -> None:
    base, new = (
        write(tmp_path / "base"),
        write(tmp_path / "new", trained=1, environment={"torch": "2.14.0", "device": "cpu", "threads": 1}),
    )
    assert matches(base, new)[0].mixed == ("torch",)
