"""Runs without a result, grouped, and what tries them again."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.matrix import parse_only
from harness.record import Failure, Status
from leaderboard.load import load_records
from leaderboard.troubles import ON_REQUEST, stale_runs, troubles, without_result
from runners import plan
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def broken(status: Status, message: str, **facts: object) -> Made:
    return Made(status=status, error=Failure(kind="Error", message=message), **facts)  # type: ignore[arg-type]


def test_what_is_tried_again_on_request_is_what_the_scheduler_says() -> None:
    assert set(ON_REQUEST) == set(plan.ON_REQUEST)


def test_reasons_that_differ_in_numbers_are_one_and_the_frequent_come_first(tmp_path: Path) -> None:
    for seed in range(3):
        broken("diverged", f"loss is NaN at step {seed}7.5", seed=seed).write(tmp_path)
    broken("failed", "no such file", method="pst").write(tmp_path)
    broken("not_applicable", "smallest is 7", method="goft").write(tmp_path)
    Made("full", items={"glue/sst2": answers(10, 1)}).write(tmp_path)
    found = troubles(load_records([tmp_path]).runs)
    assert [(one.status, len(one.runs), one.num_reasons) for one in found] == [
        ("diverged", 3, 3), ("failed", 1, 1), ("not_applicable", 1, 1)
    ]  # fmt: skip
    assert found[0].reason == "Error: loss is NaN at step 07.5"
    assert (found[0].methods, found[0].tasks) == (("lora",), ("glue/sst2",))


def test_commands_say_what_to_retry_and_stay_what_a_shell_reads_as_one_word(tmp_path: Path) -> None:
    broken("failed", "x", suite="my suite; rm -rf", method="a b").write(tmp_path)
    broken("lost", "y").write(tmp_path)
    broken("not_applicable", "z", method="pst").write(tmp_path)
    by_status = {one.status: one for one in troubles(load_records([tmp_path]).runs)}
    words = shlex.split(by_status["failed"].commands[0])
    assert words == ["paretune", "run", "my suite; rm -rf", "--retry", "failed", "--only", "method=a b,task=glue/sst2"]
    assert parse_only(words[-1]) == (("method", "a b"), ("task", "glue/sst2"))
    assert by_status["lost"].commands == ("paretune run small --only method=lora,task=glue/sst2",)
    assert by_status["not_applicable"].commands == ()


def test_many_or_odd_names_are_left_out_of_a_command(tmp_path: Path) -> None:
    for number in range(9):
        broken("failed", "x", method=f"m{number}", task="a,b").write(tmp_path)
    broken("failed", "nobody asked", suite=None).write(tmp_path)
    found = {one.reason: one.commands for one in troubles(load_records([tmp_path]).runs)}
    assert found == {"Error: x": ("paretune run small --retry failed",), "Error: nobody asked": ()}


def test_failures_come_before_what_makes_no_sense(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    statuses = [run.record.status for run in without_result(load_records([tmp_path]).runs)]
    assert statuses == ["diverged", "not_applicable"]


def test_stale_runs_are_together_by_their_reason(tmp_path: Path) -> None:
    for seed in range(3):
        Made(seed=seed, items={"glue/sst2": answers(10, 1)}).write(tmp_path)
    runs = load_records([tmp_path]).runs
    stale = {runs[0].run_id: "old code", runs[1].run_id: "other", runs[2].run_id: "old code"}
    assert [(reason, len(found)) for reason, found in stale_runs(runs, stale)] == [("old code", 2), ("other", 1)]
