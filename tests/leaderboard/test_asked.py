"""What was asked of a run: differences to defaults, and commands that a shell takes apart as meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.matrix import parse_only, passes
from harness.spec import Budget, Spec
from harness.suite import parse_budget
from leaderboard.asked import Change, budget_text, changes, commands, only, whole
from leaderboard.load import Run, load_records
from tests.leaderboard.making import Made


def run_of(made: Made, folder: Path) -> Run:
    made.status = "lost"
    made.write(folder)
    (run,) = load_records([folder]).runs
    return run


def test_only_what_is_not_default_is_a_difference() -> None:
    spec = Made(values={"rank": 8}, spec={"training": {"lr": 0.01, "clip": None}, "policy": "as_published"}).asked()
    assert changes(whole(spec)) == (
        Change("policy", "as_published", "held_out"),
        Change("training.clip", "—", "1.0"),
        Change("training.lr", "0.01", "0.001"),
    )
    assert changes(whole(Made().asked())) == ()
    assert ("values.rank", "8") in whole(spec)
    assert ("budget", "—") in whole(spec)
    assert len(whole(spec)) > 25


def test_the_commands_ask_for_this_very_run(tmp_path: Path) -> None:
    made = Made("random_mask", budget=Budget(fraction=1e-3), seed=2, suite="my suite; rm -r")
    run = run_of(made, tmp_path)
    again, part = commands(run)
    assert shlex.split(again) == ["paretune", "reproduce", run.run_id, "--out", "RECORDS"]
    first, verb, suite, option, only = shlex.split(part)
    assert (first, verb, suite, option) == ("paretune", "run", "my suite; rm -r", "--only")
    assert passes(made.asked(), parse_only(only))
    other = Made("random_mask", budget=Budget(fraction=1e-2), seed=2).asked()
    assert not passes(other, parse_only(only))


@pytest.mark.parametrize("suite", ["--out=/", "a\nb", "", None])
def test_a_suite_whose_name_would_change_the_command_gives_none(suite: str | None, tmp_path: Path) -> None:
    assert len(commands(run_of(Made(suite=suite), tmp_path))) == 1


def test_a_trial_is_no_part_of_a_plan(tmp_path: Path) -> None:
    assert len(commands(run_of(Made(spec={"purpose": "trial"}), tmp_path))) == 1


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_leaves_its_word(method: str, backbone: str) -> None:
    spec = Spec(backbone=backbone, method=method, train="t", score=("t",), protocol="classify")
    (word,) = shlex.split(only(spec))
    assert {key for key, _ in parse_only(word)} >= {"task", "seed"}


COUNTS = st.integers(1, 10**12).map(lambda count: Budget(count=count))
SHARES = st.floats(1e-9, 1.0).map(lambda fraction: Budget(fraction=fraction))


@given(COUNTS | SHARES)
def test_a_budget_comes_back_from_its_text(budget: Budget) -> None:
    assert parse_budget(budget_text(budget)) == budget
