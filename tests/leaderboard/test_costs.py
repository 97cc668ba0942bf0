"""What rows cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaderboard.cells import Row
from leaderboard.costs import Bill, costs, counted
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers


def row(folder: Path, *changes: dict[str, Any]) -> Row:
    """Return the row of one run per change of its record, of different seeds."""
    for seed, change in enumerate(changes):
        task = change.pop("task", "glue/sst2")
        made = Made(task=task, seed=seed, items={task: answers(20, 3)}, **change.pop("made", {}))
        made.write(folder)
        path = folder / made.run_id / "001" / "record.json"
        record = load_records([folder]).runs
        text = next(one.record for one in record if one.run_id == made.run_id).model_copy(update=change).to_json()
        path.write_text(text)
    (section,) = tabulate(load_records([folder]).runs, {}).sections
    (found,) = section.rows
    return found


def cost(seconds: float, **facts: Any) -> dict[str, Any]:
    from harness.record import Cost

    return {"cost": Cost(seconds={"fit": seconds}, **facts)}


def test_means_are_over_seeds_within_tasks_and_then_over_tasks(tmp_path: Path) -> None:
    found = costs(row(tmp_path, cost(10), cost(20), {"task": "glue/rte", **cost(75)}))
    assert found.fit_seconds == (15 + 75) / 2
    assert (found.num_tasks, found.packed, found.bill) == (2, False, None)


def test_a_value_that_some_run_lacks_is_unknown(tmp_path: Path) -> None:
    found = costs(row(tmp_path, cost(10, peak_bytes=5), cost(20)))
    assert (found.peak_bytes, found.part_bytes, found.fit_seconds) == (None, None, 15)


def test_runs_that_shared_a_device_are_marked(tmp_path: Path) -> None:
    assert costs(row(tmp_path, {"made": {"environment": {"runs_per_device": 2}}})).packed
    assert not costs(row(tmp_path / "alone", {"made": {"environment": {"runs_per_device": 1}}})).packed


def test_a_search_that_several_finals_name_is_paid_once(tmp_path: Path) -> None:
    first, second = ({"search": {"search": name, "num_trials": 6, "seconds": 30.5}} for name in "ab")
    found = costs(row(tmp_path, first, dict(first), second))
    assert found.bill == Bill(12, 61.0)


def test_different_counts_are_all_told(tmp_path: Path) -> None:
    found = row(tmp_path, {"made": {"trained": 30}}, {"made": {"trained": 10}})
    assert counted(found, lambda counts: counts.stored_bits) == (320, 960)
