"""What a plan says of runs: done, to do, stale or not applicable, by their attempts and by today's code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness import provenance
from harness.api import build_board, plan_suite, run_statuses, stale_runs
from harness.errors import UnknownName
from harness.matrix import expand
from tests.benchmarks.finished import finish, matrix
from tests.runners.faulty import history, run_here, source, states, suite

# What a history of attempts means


@pytest.mark.parametrize(
    ("tried", "retry", "state", "reason"),
    [
        ([], [], "todo", "never run"),
        ([("ok", True)], [], "done", ""),
        ([("ok", True), ("failed", True), ("lost", True)], [], "done", ""),
        ([("ok", False)], [], "stale", "changed since attempt 1"),
        ([("ok", False), ("ok", True), ("ok", False)], [], "done", ""),
        ([("lost", True)], [], "todo", "newest attempt is lost"),
        ([("cancelled", True)], [], "todo", "newest attempt is cancelled"),
        ([("failed", True)], [], "done", "--retry failed"),
        ([("failed", False)], [], "done", "--retry failed"),
        ([("failed", True)], ["failed"], "todo", "newest attempt is failed"),
        ([("failed", True)], ["diverged"], "done", "--retry failed"),
        ([("failed", True), ("lost", True)], [], "todo", "newest attempt is lost"),
        ([("diverged", True)], ["diverged"], "todo", "newest attempt is diverged"),
        ([("timed_out", True)], [], "done", "--retry timed_out"),
        ([("out_of_memory", True)], [], "done", "--retry out_of_memory"),
        ([("not_applicable", True)], [], "not_applicable", "because"),
        ([("not_applicable", False)], [], "todo", "newest attempt is not_applicable"),
        # An old result of other code, and then today's code did not make it: no loop without end, nothing hidden.
        ([("ok", False), ("failed", True)], [], "done", "--retry failed"),
        ([("ok", False), ("failed", True)], ["failed"], "stale", "changed since attempt 1"),
        ([("ok", False), ("failed", False)], [], "stale", "changed since attempt 1"),
        ([("ok", False), ("lost", True)], [], "stale", "changed since attempt 1"),
        ([("ok", False), ("not_applicable", True)], [], "not_applicable", "because"),
    ],
)
def test_the_state_of_a_run_follows_from_its_attempts(
    tmp_path: Path, tried: list[tuple[Any, bool]], retry: list[str], state: str, reason: str
) -> None:
    asked = suite(["head_only"])
    history(tmp_path, expand(asked).specs[0], tried)
    plan = plan_suite(asked, out=tmp_path, retry=retry)
    (run,) = plan.runs
    assert run.state == state
    assert reason in run.reason
    assert (reason == "") == (run.reason == "")
    assert plan.ok() == (state == "not_applicable" or (run.state == "done" and not run.reason))


def test_an_unknown_status_to_retry_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean failed"):
        plan_suite(suite(["base"]), out=tmp_path, retry=["faild"])


# Stale


def test_an_edited_formula_makes_records_stale_and_an_edited_comment_does_not(
    tmp_path: Path, faulty: Path, warm: Any
) -> None:
    file, asked, out = faulty / "faulty_scaled.py", suite(["scaled"]), tmp_path / "out"
    record = run_here(out, "scaled", warm=warm)[0]
    assert states(plan_suite(asked, out=out)) == ["done"]
    try:
        for text, state in (
            (source("scaled").replace("return 1.0", "# louder\n        return 1.0"), "done"),
            (source("scaled").replace("return 1.0", "return 2.0"), "stale"),
        ):
            file.write_text(text, encoding="utf-8")
            provenance.tree_digest.cache_clear()  # as in the next process
            assert states(plan_suite(asked, out=out)) == [state]
            assert list(stale_runs([record])) == ([record.run_id] if state == "stale" else [])
            page = build_board([out], tmp_path / state).page.read_text(encoding="utf-8")
            assert ("stale: the code or a card version changed since" in page) == (state == "stale")
        plan = plan_suite(asked, out=out)
        assert plan.runs[0].reason == "code or card version changed since attempt 1"
        assert run_statuses(plan) == {"stale": 1}
    finally:
        file.write_text(source("scaled"), encoding="utf-8")


# Thousands


def test_a_finished_matrix_is_planned_again_at_little_cost_for_each_run(tmp_path: Path) -> None:
    asked = matrix(400)
    finish(asked, tmp_path)
    assert plan_suite(asked, out=tmp_path).counts() == {"done": 400, "todo": 0, "stale": 0, "not_applicable": 0}
    began = time.process_time()
    assert plan_suite(asked, out=tmp_path).ok()
    assert time.process_time() - began < 0.8  # 2 ms each on a busy machine; a third of a millisecond on a free one
