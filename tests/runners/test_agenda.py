"""The agenda: what is planned of a search that is not begun, half done, done, stale or without a winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.api import plan_suite
from harness.errors import UnknownName
from harness.spec import Spec
from harness.suite import BadSuite
from runners.attempt import attempts, records
from runners.plan import Plan
from tests.harness.commands import call
from tests.runners.faulty import contents, suite, write_suite
from tests.runners.searching import GRID, expansion, finish

ASKED: dict[str, Any] = {"search": {"grid": {"lr": GRID}}, "seeds": [0, 1]}


def planned(out: Path, methods: list[Any] | None = None, retry: tuple[str, ...] = (), **changes: Any) -> Plan:
    return plan_suite(suite(methods or ["head_only"], **{**ASKED, **changes}), out=out, retry=retry)


def trials(**changes: Any) -> list[Spec]:
    return [spec for spec in expansion(**changes).first() if spec.purpose == "trial"]


def shown(plan: Plan) -> list[tuple[str, str]]:
    return [(run.state, run.reason) for run in (*plan.runs, *plan.waiting)]


def test_finals_wait_for_their_trials_without_a_run_id(tmp_path: Path) -> None:
    file = write_suite(tmp_path / "four.yaml", ["base", "head_only"], **ASKED)
    code, told, _ = call("plan", file, "--out", tmp_path / "out", "--json")
    assert code == 0
    content = json.loads(told)
    assert content["counts"] == {"done": 0, "todo": 8, "stale": 0, "not_applicable": 0}
    assert [run["run_id"] is None for run in content["runs"]] == [False] * 6 + [True] * 2
    assert all(run.keys() >= {"run_id", "state", "reason", "trained"} for run in content["runs"])
    waiting = [(run["run_id"], run["state"], run["reason"]) for run in content["runs"][6:]]
    assert waiting == [(None, "todo", "after 4 trials")] * 2
    assert [run["reason"] for run in content["runs"][2:4]] == [
        "never run; trial 1 of 4: lr 0.1",
        "never run; trial 2 of 4: lr 0.2",
    ]
    told = call("plan", file, "--out", tmp_path / "out").out
    assert told.count("after 4 trials") == 2
    assert "8 todo" in told
    assert not (tmp_path / "out").exists()


def test_a_search_goes_on_where_its_records_end(tmp_path: Path) -> None:
    specs = trials()
    for spec, metric in zip(specs[:3], (0.5, 0.9, 0.6), strict=True):
        finish(tmp_path, spec, metric)
    plan = planned(tmp_path)
    assert [run.state for run in plan.runs] == ["done"] * 3 + ["todo"]
    assert [run.reason for run in plan.waiting] == ["after 1 trial"] * 2
    assert not plan.ok()
    last = finish(tmp_path, specs[3], 0.1)
    finals = plan.agenda.after(last)
    assert [(spec.training.lr, spec.seed) for spec in finals] == [(0.2, 0), (0.2, 1)]
    # The same from the records alone.
    again = planned(tmp_path)
    assert [run.spec for run in again.agenda.todo()] == finals
    assert again.waiting == ()
    assert [again.agenda.bill(spec) for spec in finals] == [plan.agenda.bill(spec) for spec in finals]
    assert (again.agenda.bill(finals[0]) or {})["chosen"] == {"lr": 0.2}
    # A final that is done is not given out again.
    finish(tmp_path, finals[0])
    (tmp_path / specs[3].run_id / "001" / "record.json").rename(tmp_path / "kept.json")
    half = planned(tmp_path)
    (tmp_path / "kept.json").rename(tmp_path / specs[3].run_id / "001" / "record.json")
    assert half.agenda.after(last) == finals[1:]
    finish(tmp_path, finals[1])
    plan = planned(tmp_path)
    assert plan.counts() == {"done": 6, "todo": 0, "stale": 0, "not_applicable": 0}
    assert plan.ok()
    assert [reason for _, reason in shown(plan)][3:] == ["trial 4 of 4: lr 0.4", "takes lr 0.2", "takes lr 0.2"]


def test_a_stale_trial_is_run_again_and_another_winner_is_another_final(tmp_path: Path) -> None:
    specs = trials()
    for spec in specs[:3]:
        finish(tmp_path, spec, 0.5)
    finish(tmp_path, specs[3], 0.9, current=False)
    plan = planned(tmp_path)
    assert [run.state for run in plan.runs] == ["done"] * 3 + ["stale"]
    assert [(run.state, run.run_id, run.reason) for run in plan.waiting] == [("todo", None, "after 1 trial")] * 2
    as_good = planned(tmp_path).agenda.after(finish(tmp_path / "elsewhere", specs[3], 0.9))
    assert {spec.training.lr for spec in as_good} == {0.4}
    for spec in as_good:
        finish(tmp_path, spec)
    worse = plan.agenda.after(finish(tmp_path, specs[3], 0.1))
    assert {spec.training.lr for spec in worse} == {0.1}
    assert [run.spec for run in planned(tmp_path).agenda.todo()] == worse


@pytest.mark.parametrize("status", ["lost", "cancelled"])
def test_a_trial_that_was_lost_or_cancelled_is_run_again_first(tmp_path: Path, status: str) -> None:
    specs = trials()
    for spec in specs:
        finish(tmp_path, spec, status=status if spec == specs[0] else "ok")
    plan = planned(tmp_path)
    assert [run.spec for run in plan.agenda.todo()] == specs[:1]
    assert [run.reason for run in plan.waiting] == ["after 1 trial"] * 2


def test_one_bad_trial_is_no_failure_of_the_suite(tmp_path: Path) -> None:
    specs = trials()
    for spec in specs:
        finish(tmp_path, spec, status="diverged" if spec == specs[3] else "ok")
    for run in planned(tmp_path).agenda.todo():
        finish(tmp_path, run.spec)
    plan = planned(tmp_path)
    assert plan.ok()
    assert plan.runs[3].reason == "diverged; try it again with --retry diverged; trial 4 of 4: lr 0.4"
    retried = planned(tmp_path, retry=("diverged",))
    assert [run.spec for run in retried.agenda.todo()] == specs[3:]
    assert len(retried.waiting) == 2


def test_finals_without_values_are_cancelled_once_with_the_reason_and_the_bill(tmp_path: Path) -> None:
    specs = trials()
    for spec in specs:
        finish(tmp_path, spec, status="diverged")
    plan = planned(tmp_path)
    finals = plan.runs[4:]
    assert [(run.state, run.record) for run in finals] == [("done", None)] * 2
    assert plan.agenda.todo() == []
    plan.agenda.close("faults")
    before = contents(tmp_path)
    for run in finals:
        (written,) = records(tmp_path, run.spec.run_id)[0]
        assert (written.status, written.suite) == ("cancelled", "faults")
        assert written.error is not None
        assert written.error.kind == "search"
        assert written.error.message == run.reason
        assert run.reason.startswith(
            "no trial of its search gave values to choose (4 diverged); the first: it diverged"
        )
        assert written.search is not None
        assert (written.search["chosen"], written.search["num_trials"]) == (None, 4)
    again = planned(tmp_path)
    assert not again.ok()
    assert again.counts()["done"] == 6
    again.agenda.close("faults")
    assert contents(tmp_path) == before
    # A trial that works after all ends the matter: the finals are those of its values.
    finish(tmp_path, specs[2], 0.9)
    assert {run.spec.training.lr for run in planned(tmp_path).agenda.todo()} == {0.3}


def test_a_search_without_a_budget_that_can_be_met_is_not_applicable(tmp_path: Path) -> None:
    plan = planned(tmp_path, [{"lora": {"budget": 1}}])
    assert [run.state for run in plan.runs] == ["not_applicable"] * 6
    assert all(run.reason.startswith("smallest is ") for run in plan.runs)
    plan.agenda.close("faults")
    before = contents(tmp_path)
    assert len([name for name in before if name.endswith("record.json")]) == 6
    again = planned(tmp_path, [{"lora": {"budget": 1}}])
    assert all(run.record for run in again.runs)
    assert again.ok()
    again.agenda.close("faults")
    assert contents(tmp_path) == before
    assert [len(attempts(tmp_path, run.spec.run_id)) for run in again.runs] == [1] * 6


def test_a_shared_search_runs_at_a_budget_that_can_be_met(tmp_path: Path) -> None:
    asked = {"search": {"grid": {"lr": [0.1, 0.2]}, "share": "task"}}
    plan = planned(tmp_path, [{"lora": {"budget": [1, 3000]}}], **asked)
    assert [(str(run.spec.budget), run.state) for run in plan.runs] == [
        *[("1", "not_applicable")] * 2,
        *[("3,000", "todo")] * 2,
    ]
    assert len(plan.waiting) == 4


def test_what_a_reader_must_know_is_said_in_the_plan(tmp_path: Path) -> None:
    more = [{"when": {"method": "bitfit"}, "search": {"grid": {"lr": [0.1]}}}]
    plan = planned(tmp_path, ["head_only", "bitfit"], policy="as_published", overrides=more)
    for run in plan.waiting:
        assert "unequal search: " in run.reason
        assert run.reason.endswith("chosen on the reported split")


def test_later_rounds_are_counted_before_they_are_known(tmp_path: Path) -> None:
    halved = {"search": {"grid": {"lr": GRID}, "halving": True}, "training": {"epochs": 4}}
    plan = planned(tmp_path, **halved)
    assert [run.reason for run in plan.runs] == [
        f"never run; trial {number} of 4: lr {rate}, 1 epoch" for number, rate in enumerate(GRID, 1)
    ]
    assert [run.reason for run in plan.waiting] == ["after 4 trials", "after 5 trials", "after 5 trials"]
    ready = [spec for run in plan.runs for spec in plan.agenda.after(finish(tmp_path, run.spec))]
    assert [(spec.purpose, spec.training.epochs) for spec in ready] == [("trial", 4)]


def test_a_choice_by_a_metric_that_is_not_computed_is_refused(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "tasks": ["embedded/record"],
        "backbones": ["tiny:llama"],
        "options": {"generate": {"validation": "loss"}},
        "training": {"epochs": 1, "select": "loss"},
    }
    with pytest.raises(BadSuite, match="search.select is validation, the metric; set it to loss, for .* no metric"):
        planned(tmp_path, ["lora"], **asked)
    assert planned(tmp_path, ["lora"], **asked, search={"grid": {"lr": GRID}, "select": "loss"}).counts()["todo"] == 6


def test_a_grid_over_an_unknown_value_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown value 'rnk' in the search of method 'lora'; did you mean rank"):
        planned(tmp_path, ["lora"], search={"grid": {"rnk": [1, 2]}})
