from __future__ import annotations

import pytest

from harness.spec import Spec
from runners.grid import SIGNS, Grid
from tests.runners.matrices import specs


def a_grid(asked: tuple[Spec, ...], wide: bool = True) -> tuple[Grid, dict[str, str]]:
    return Grid({spec.run_id: spec for spec in asked}, wide), {spec.run_id: "todo" for spec in asked}


def drawn(grid: Grid, states: dict[str, str], width: int = 100, height: int = 40) -> list[str]:
    lines = [line.plain for line in grid.lines(states, width, height)]
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    return lines


def a_matrix(methods: int, tasks: int, seeds: int, backbones: int = 1) -> tuple[Spec, ...]:
    (first,) = specs("base")
    return tuple(
        first.model_copy(
            update={"backbone": f"tiny:b{b}", "method": f"method{m}", "train": f"family/task{t}", "seed": seed}
        )
        for b in range(backbones)
        for m in range(methods)
        for t in range(tasks)
        for seed in range(seeds)
    )


def test_each_cell_shows_a_sign_per_seed_under_its_task() -> None:
    asked = specs(
        "base", {"random_mask": {"budget": ["1%"]}}, tasks=["embedded/polarity", "embedded/agreement"], seeds=[0, 1]
    )
    grid, states = a_grid(asked)
    for spec, state in zip(
        asked, ("ok", "failed", "running", "todo", "diverged", "lost", "ok", "surprise"), strict=True
    ):
        states[spec.run_id] = state
    assert drawn(grid, states) == [
        "tiny:bert",
        "                embedded/polarity  embedded/agreement",
        "base            ●✗                 DL                ",
        "random_mask 1 % ▸·                 ●?                ",
    ]
    legend = "▸ 1 running  ✗ 1 failed  L 1 lost  D 1 diverged  · 1 todo  ? 1 surprise  ● 2 ok"
    assert grid.legend(states).plain.strip() == legend


def test_signs_differ_and_have_a_form_for_every_encoding() -> None:
    assert len({sign.wide for sign in SIGNS.values()}) == len({sign.plain for sign in SIGNS.values()}) == len(SIGNS)
    assert all(sign.plain.isascii() and len(sign.plain) == len(sign.wide) == 1 for sign in SIGNS.values())
    grid, states = a_grid(a_matrix(2, 2, 2), wide=False)
    assert all(line.isascii() for line in drawn(grid, states))


def test_each_backbone_has_a_block_of_its_own() -> None:
    grid, states = a_grid(a_matrix(1, 1, 1, backbones=2))
    lines = drawn(grid, states)
    assert [line for line in lines if line.startswith("tiny:")] == ["tiny:b0", "tiny:b1"]
    assert len(lines) == 6


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [1, 3, 5, 10, 30, 400])
def test_hundreds_of_cells_fit_whatever_room_there_is(width: int, height: int) -> None:
    asked = a_matrix(30, 19, 3, backbones=2)
    grid, states = a_grid(asked)
    lines = drawn(grid, states, width, height)
    assert ("more rows" in lines[-1]) == (height < 60)


def test_rows_where_something_runs_or_went_wrong_stay_and_the_rest_is_counted() -> None:
    asked = a_matrix(20, 2, 2)
    grid, states = a_grid(asked)
    for spec in asked[:40]:
        states[spec.run_id] = "ok"
    states[asked[-1].run_id], states[asked[0].run_id] = "running", "failed"
    lines = drawn(grid, states, height=6)
    assert [line.split()[0] for line in lines[2:5]] == ["method0", "method10", "method19"]
    assert lines[5] == "and 17 more rows: 32 todo, 36 ok"


def test_narrow_columns_are_named_by_letters_and_explained() -> None:
    grid, states = a_grid(a_matrix(2, 8, 3))
    lines = drawn(grid, states, width=27)
    assert lines[1].split() == list("abcdefgh")
    assert lines[2].startswith("a family/task0")
    assert lines[-1] == "method1 · · · · · · · ·    "[: len(lines[-1])]


def test_tasks_that_do_not_fit_are_counted_and_the_telling_ones_stay() -> None:
    asked = a_matrix(1, 30, 1)
    grid, states = a_grid(asked)
    states[asked[29].run_id] = "failed"
    lines = drawn(grid, states, width=28)
    assert lines[0] == "tiny:b0  (20 of 30 tasks lef"
    assert any("family/task29" in line for line in lines)
    assert "✗" in lines[-1]


def test_a_cell_of_many_runs_says_how_many_ended_and_the_worst_of_them() -> None:
    asked = a_matrix(1, 1, 24)
    grid, states = a_grid(asked)
    for spec in asked[:7]:
        states[spec.run_id] = "ok"
    assert drawn(grid, states, width=20)[-1].split() == ["method0", "·7/24"]
    states[asked[3].run_id] = "timed_out"
    assert drawn(grid, states, width=20)[-1].split() == ["method0", "T7/24"]


def test_runs_that_become_known_later_get_their_place() -> None:
    asked = a_matrix(2, 1, 2)
    grid, states = a_grid(asked[:2])
    grid.place({spec.run_id: spec for spec in asked})
    grid.place({spec.run_id: spec for spec in asked})
    states |= {spec.run_id: "running" for spec in asked[2:]}
    assert [line.split() for line in drawn(grid, states)[2:]] == [["method0", "··"], ["method1", "▸▸"]]


def test_the_trials_of_a_search_share_a_row_whatever_their_values() -> None:
    (first,) = specs("lora")
    trials = tuple(first.model_copy(update={"purpose": "trial", "values": {"rank": rank}}) for rank in (1, 2, 4))
    grid, states = a_grid((*trials, first.model_copy(update={"values": {"rank": 4}})))
    assert [line.split() for line in drawn(grid, states)[2:]] == [["lora", "trials", "···"], ["lora", "rank=4", "·"]]
