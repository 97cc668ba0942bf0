from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.record import Failure as Error
from harness.record import Record
from runners.plan import Planned
from runners.summary import describe, failure_lines, failures, rerun, summary, tally
from tests.runners.matrices import a_plan, a_record, plan_of, specs

OUT = Path("/runs")


def shown(found: list[Record]) -> list[list[str]]:
    stream = io.StringIO()
    Console(file=stream, width=200, highlight=False, color_system=None).print(summary(tally(found)))
    lines = [line.split("│") for line in stream.getvalue().splitlines() if "│" in line]
    return [[cell.strip() for cell in line[1:-1]] for line in lines]


def test_a_run_is_described_by_method_values_budget_task_and_seed() -> None:
    (spec,) = specs({"random_mask": {"budget": "1%"}}, seeds=[3])
    assert describe(spec) == "random_mask 1 % embedded/polarity seed 3"
    assert describe(spec.model_copy(update={"purpose": "trial"})).endswith("seed 3 trial")


def test_the_summary_is_the_mean_over_seeds_and_counts_what_is_not_ok() -> None:
    runs = specs("head_only", seeds=[0, 1, 2])
    found = [a_record(runs[0], 0.5), a_record(runs[1], 0.75), a_record(runs[2], None, "diverged")]
    assert shown(found) == [["head_only", "embedded/polarity", "1,234", "62.5", "2", "1 diverged"]]


def test_the_summary_never_mixes_backbones_or_budgets() -> None:
    runs = specs("base", {"random_mask": {"budget": ["1%", "2%"]}}, backbones=["tiny:bert", "tiny:opt"])
    found = shown([a_record(spec, number / 10) for number, spec in enumerate(runs)])
    assert len(found) == len(runs) == 6
    assert [row[4] for row in found] == ["0.0", "10.0", "20.0", "30.0", "40.0", "50.0"]
    assert {row[0] for row in found} == {"tiny:bert", "tiny:opt"}


def test_the_summary_of_undefined_scores_has_no_number() -> None:
    (spec,) = specs("base")
    assert shown([a_record(spec, None)]) == [["base", "embedded/polarity", "1,234", "-", "0", ""]]


def test_trials_are_no_part_of_the_table() -> None:
    (spec,) = specs("base")
    assert shown([a_record(spec.model_copy(update={"purpose": "trial"}), scores=())]) == []


def test_equal_errors_are_one_failure_with_its_runs_the_most_frequent_first() -> None:
    runs = specs("head_only", seeds=list(range(9)))
    said = [
        Error(kind="KeyError", message=f"step {n} of 16 went wrong", log_tail=("x", f"end {n}", "")) for n in (3, 4)
    ]
    records = [a_record(runs[0], status="diverged", error=said[0])]
    records += [a_record(spec, status="failed") for spec in runs[1:7]]
    records += [a_record(runs[7], status="diverged", error=said[1]), a_record(runs[8])]
    found = failures(a_plan((), records), OUT)
    assert [(one.status, one.kind, len(one.runs)) for one in found] == [
        ("failed", "ValueError", 6),
        ("diverged", "KeyError", 2),
    ]
    lines = list(failure_lines(found))
    assert lines[0] == "failed: 6 runs: ValueError: no luck"
    assert lines[1] == f"  {runs[1].run_id}  head_only embedded/polarity seed 1  /runs/{runs[1].run_id}/001/log.txt"
    assert lines[6] == f"  and 1 more: {runs[6].run_id}"
    assert lines[7] == "  its log ends: the last line"
    assert lines[8] == "diverged: 2 runs: KeyError: step 3 of 16 went wrong"
    assert lines[-1] == "  its log ends: end 3"


def test_what_is_ok_not_applicable_or_stale_is_no_failure() -> None:
    first, second, third = specs("base", "head_only", "full")
    good = a_plan((), [a_record(first), a_record(second, status="not_applicable")])
    stale = plan_of(Planned(third, "stale", "changed", a_record(third, status="failed")))
    assert failures(good, OUT) == failures(stale, OUT) == []


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["--only", "method=lora"], ["--retry", "diverged", "--retry", "failed"]),
        (["--retry", "failed"], ["--retry", "diverged"]),
        (["--retry=failed", "--retry", "diverged"], []),
    ],
)
def test_the_command_that_reruns_is_the_one_given_with_the_statuses_that_need_asking(
    given: list[str], added: list[str]
) -> None:
    first, second, third = specs("base", "head_only", "full")
    statuses = [a_record(first, status="failed"), a_record(second, status="diverged"), a_record(third, status="lost")]
    words = ["paretune", "run", "quick", *given]
    assert rerun(words, failures(a_plan((), statuses), OUT)) == [*words, *added]
