"""Pairs of entries: names in addresses, and what is computed for which pair."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard.averages import Average
from leaderboard.load import load_records
from leaderboard.pairs import NUM_ALL, data_path, entry_id, pairs_of, plain_path, section_id
from leaderboard.site import Site
from leaderboard.statistics import paired_difference
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def site_of(folder: Path) -> Site:
    return Site.of(load_records([folder]), {})


def test_entries_are_named_by_what_was_asked_and_keep_their_names_as_the_board_grows(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    (section,) = site_of(tmp_path).sections
    before = [entry_id(row) for row in section.rows]
    assert len(set(before)) == len(before) == 6
    Made("../<i>", {"x": 1}, items={"glue/sst2": answers(100, 1)}).write(tmp_path)
    (grown,) = site_of(tmp_path).sections
    after = [entry_id(row) for row in grown.rows]
    assert set(before) < set(after)
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in (*after, section_id(grown)))
    assert section_id(grown) == section_id(section)
    assert data_path(section) == f"data/pairs-{section_id(section)}.js"
    assert plain_path(section) == f"compare/{section_id(section)}.html"


def test_every_pair_of_a_small_section_is_there_and_what_is_in_none_says_why(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    (section,) = site_of(tmp_path).sections
    found = pairs_of(section)
    assert found.complete
    by_name = {task.column.task: task for task in found.tasks}
    task = by_name["glue/sst2"]
    names = [found.field.names[row] for row in section.rows]
    assert {names[place]: why for place, why in task.refused.items()} == {
        "full": "diverged",
        "pst 10": "not applicable",
    }
    usable = [place for place in range(len(names)) if place not in task.refused]
    assert task.duels.keys() == {(one, other) for one in usable for other in usable if one < other}
    assert task.best == names.index("random_mask 1\u00a0%")
    low, high = names.index("random_mask 0.01\u00a0%"), names.index("random_mask 1\u00a0%")
    duel, back = task.between(high, low), task.between(low, high)
    assert duel is not None
    assert back is not None
    alone = paired_difference(*(section.rows[place].cells["glue/sst2"].entry for place in (high, low)))  # type: ignore[arg-type]
    assert duel.difference.estimate == pytest.approx(alone.estimate) == pytest.approx(0.1)
    assert duel.difference.low == pytest.approx(alone.low)
    assert back.difference.high == pytest.approx(-alone.low)  # type: ignore[operator]
    assert (back.won, back.lost) == (duel.lost, duel.won)
    single = task.between(names.index("lora rank 8"), low)
    assert single is not None
    assert single.difference.basis == "items only"
    assert task.between(low, names.index("full")) is None
    assert by_name["glue/cola"].refused[names.index("lora rank 8")] == "not run"


def test_outdated_numbers_are_in_no_pair(tmp_path: Path) -> None:
    for seed in range(2):
        for method in ("bitfit", "lora"):
            Made(method, seed=seed, items={"glue/sst2": answers(40, 9, seed)}).write(tmp_path)
    loaded = load_records([tmp_path])
    stale = {run.run_id: "changed" for run in loaded.runs if run.record.spec.method == "lora"}
    (section,) = Site.of(loaded, stale).sections
    (task,) = pairs_of(section).tasks
    assert list(task.refused.values()) == ["stale"]
    assert task.duels == {}


def test_a_large_section_holds_the_best_the_references_and_the_neighbours(tmp_path: Path) -> None:
    num = NUM_ALL + 2
    for number in range(num):
        method = "lora" if number == 50 else "bitfit"
        for seed in range(2):
            items = {"glue/sst2": answers(40, 2 if number == 20 else 9, seed)}
            Made(method, {"number": number}, trained=number + 1, seed=seed, items=items).write(tmp_path)
    (section,) = site_of(tmp_path).sections
    found = pairs_of(section)
    (task,) = found.tasks
    assert not found.complete
    assert task.best == 20
    assert {other for pair in task.duels for other in pair if 5 in pair} - {5} == {3, 4, 6, 7, 20, 50}
    assert {other for pair in task.duels for other in pair if 20 in pair} - {20} == set(range(num)) - {20}


def test_differences_of_averages_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = Average("toy", "Toy", (("glue/sst2",), ("glue/rte",)))
    monkeypatch.setattr("leaderboard.pairs.averages_of", lambda section: (mean,))
    for task in ("glue/sst2", "glue/rte"):
        for number, method in enumerate(("bitfit", "lora")):
            for seed in range(3):
                items = {task: answers(100, 20 + 10 * number + seed, 7 * number + seed)}
                Made(method, task=task, trained=5 + number, seed=seed, items=items).write(tmp_path)
    (section,) = site_of(tmp_path).sections
    found = pairs_of(section)
    ((_, differences),) = found.averages
    gaps = [task.duels[0, 1].difference for task in found.tasks]
    assert differences[0, 1].estimate == pytest.approx(0.1)
    assert differences[0, 1].error == pytest.approx(sum((gap.error or 0) ** 2 for gap in gaps) ** 0.5 / 2)
    assert differences[0, 1].ranks
