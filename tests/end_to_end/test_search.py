"""Searches that are really run: trials, their choice, finals trained anew; a kill between, and nothing done twice."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.api import SuiteResult, build_board, plan_suite, run_suite
from harness.data import DataSource, Raw
from harness.record import Record
from harness.registry import ROOT
from harness.spec import Spec
from harness.task import Split, Task
from runners.warm import Warm
from runners.worker import run_one
from tests.end_to_end.test_interrupts import Scheduler
from tests.end_to_end.watching import unchanged, until
from tests.harness.commands import call
from tests.runners.faulty import contents, printing_as_a_worker, write_suite

METHODS: list[Any] = ["base", "head_only", {"random_mask": {"budget": ["1%", "5%"]}}, {"lora": {"budget": 1}}]
SEARCH: dict[str, Any] = {
    "seeds": [0, 1],
    "training": {"epochs": 2, "batch_size": 8, "max_length": 32, "lr": 7.0},
    "search": {"trials": 3, "share": "task"},
    # Only the first of these does not diverge.
    "overrides": [{"when": {"method": "head_only"}, "search": {"grid": {"lr": ["1e-9", "1e38", "3e38"]}}}],
}


class Searched(NamedTuple):
    file: Path
    out: Path
    result: SuiteResult

    def records(self, method: str, purpose: str) -> list[Record]:
        return [one for one in self.result.records if (one.spec.method, one.spec.purpose) == (method, purpose)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    file = write_suite(folder / "searched.yaml", METHODS, **SEARCH)
    return Searched(file, folder / "out", run_suite(file, out=folder / "out", workers=2, device="cpu"))


def test_every_final_has_the_values_of_the_best_trial_and_the_bill(searched: Searched) -> None:
    trials, finals = searched.records("head_only", "trial"), searched.records("head_only", "final")
    assert {trial.spec.training.lr: trial.status for trial in trials} == {
        1e-9: "ok",
        1e38: "diverged",
        3e38: "diverged",
    }
    assert {final.spec.training.lr for final in finals} == {1e-9}
    assert [final.spec.seed for final in finals] == [0, 1]
    for final in finals:
        assert final.search is not None
        assert final.search["chosen"] == {"lr": 1e-9}
        assert final.search["statuses"] == {"ok": 1, "diverged": 2}
        assert final.search["edges"] == ["lr 1e-09 is the smallest tried"]
        assert final.search["seconds"] == pytest.approx(
            sum(sum(trial.cost.seconds.values()) for trial in trials), abs=0.01
        )
        assert len(final.to_json()) < 50_000
    assert searched.result.plan.ok()


def test_a_shared_search_serves_every_budget_and_trials_have_no_scores(searched: Searched) -> None:
    trials, finals = searched.records("random_mask", "trial"), searched.records("random_mask", "final")
    assert [str(trial.spec.budget) for trial in trials] == ["1 %"] * 3
    assert {(str(final.spec.budget), final.spec.seed) for final in finals} == {
        (budget, seed) for budget in ("1 %", "5 %") for seed in (0, 1)
    }
    best = max(trials, key=lambda one: (metric(one), -loss(one)))
    assert {final.spec.training.lr for final in finals} == {best.spec.training.lr}
    assert all(not trial.scores and trial.digests.items is None and trial.validation for trial in trials)
    assert all(final.scores and final.search and final.search["budget"] == "1 %" for final in finals)


def metric(record: Record) -> float:
    (best,) = [epoch for epoch in record.validation if epoch.epoch == record.best_epoch]
    return best.metrics["accuracy"] or 0.0


def loss(record: Record) -> float:
    (best,) = [epoch for epoch in record.validation if epoch.epoch == record.best_epoch]
    return best.validation_loss or 0.0


def test_what_has_nothing_to_tune_or_no_size_is_told_apart(searched: Searched) -> None:
    assert [one.search for one in searched.records("base", "final")] == [None, None]
    assert searched.records("base", "trial") == []
    assert {one.status for one in searched.records("lora", "final")} == {"not_applicable"}
    assert {one.status for one in searched.records("lora", "trial")} == {"not_applicable"}


def test_a_finished_search_is_planned_from_records_and_nothing_is_run(searched: Searched) -> None:
    before = contents(searched.out)
    again = run_suite(searched.file, out=searched.out, workers=2, device="cpu")
    assert (again.num_started, again.plan.waiting) == (0, ())
    assert contents(searched.out) == before
    assert [run.spec for run in again.plan.runs] == [run.spec for run in searched.result.plan.runs]
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(searched.out.glob("cells/*/cell.json"))]
    assert len(cells) == 3
    assert {final["status"] for cell in cells for final in cell["finals"] if cell["cell"]["method"] != "lora"} == {"ok"}


def test_the_page_compares_finals_and_lists_bad_trials_as_such(searched: Searched, tmp_path: Path) -> None:
    page = build_board([searched.out], tmp_path).page
    pages = (page.read_text(encoding="utf-8"), (page.parent / "failures.html").read_text(encoding="utf-8"))
    text = " ".join(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", one)) for one in pages)
    finals = [one for one in searched.result.records if one.spec.purpose == "final"]
    assert f"{len(finals)} final runs" in text
    assert text.count("diverged head_only trial") == 2
    assert "random_mask trial" not in text


def test_more_trials_keep_those_that_were_run(searched: Searched) -> None:
    more = plan_suite(searched.file, out=searched.out, settings=["search.trials=5"])
    masks = [run.state for run in more.runs if run.spec.method == "random_mask"]
    assert masks == ["done"] * 3 + ["todo"] * 2


def test_a_search_whose_scheduler_is_killed_goes_on_to_the_same_winner(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    out = tmp_path / "out"
    with Scheduler(searched.file, out, 1) as scheduler:
        until(lambda: len(list(out.glob("*/*/record.json"))) > 4, "the first trials")
        os.kill(scheduler.process.pid, signal.SIGKILL)
        scheduler.process.wait()
    before = contents(out)
    rest = run_suite(searched.file, out=out, workers=1, device="cpu")
    assert unchanged({name: text for name, text in before.items() if not name.startswith("cells")}, out)
    assert rest.plan.ok()
    assert [run.spec for run in rest.plan.runs] == [run.spec for run in searched.result.plan.runs]
    ended = [one.status for one in rest.records]
    assert sorted(ended) == sorted(one.status for one in searched.result.records)
    assert 0 < rest.num_started < len(ended)


def test_trials_never_open_the_rows_that_finals_are_scored_on(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Split] = []
    read = DataSource.read

    def noted(source: DataSource, task: Task, split: Split) -> Raw:
        opened.append(split)
        return read(source, task, split)

    monkeypatch.setattr(DataSource, "read", noted)

    def splits(spec: Spec) -> set[Split]:
        opened.clear()
        with printing_as_a_worker():
            record, _, _ = run_one(spec, tmp_path, Warm(DataSource(), "cpu"), None, "none", lambda event: None)
        assert record.status == "ok"
        return set(opened)

    (trial, *_), (final, *_) = (searched.records("random_mask", purpose) for purpose in ("trial", "final"))
    assert splits(trial.spec) == {"train"}
    assert splits(final.spec) == {"train", "evaluation"}


def test_halving_trains_the_survivors_for_equal_epochs(tmp_path: Path) -> None:
    halved = {**SEARCH, "search": {"trials": 5, "halving": True}, "overrides": [], "seeds": [0]}
    file = write_suite(tmp_path / "halved.yaml", ["head_only"], **halved)
    result = run_suite(file, out=tmp_path / "out", workers=1, device="cpu")
    assert [(one.spec.purpose, one.spec.training.epochs) for one in result.records] == [
        *[("trial", 1)] * 5,
        *[("trial", 2)] * 2,
        ("final", 2),
    ]
    (final,) = [one for one in result.records if one.spec.purpose == "final"]
    assert final.search is not None
    assert (final.search["halving"], final.search["num_epochs"]) == (True, 5 + 4)


def test_finals_that_a_search_leaves_without_values_are_told_and_counted(tmp_path: Path) -> None:
    override = {"when": {"method": "head_only"}, "search": {"grid": {"lr": ["1e38", "3e38"]}}}
    file = write_suite(tmp_path / "none.yaml", ["head_only"], **{**SEARCH, "overrides": [override]})
    told = call("run", file, "--out", tmp_path / "out", "--workers", "1", "--device", "cpu", "--json")
    events = [json.loads(line) for line in told.out.splitlines()]
    ended = [event for event in events if event["type"] == "ended"]
    assert [event["status"] for event in ended] == ["diverged"] * 2 + ["cancelled"] * 2
    assert [(event["ended"], event["total"]) for event in ended] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for event in ended[2:]:
        assert event["message"].startswith("no trial of its search gave values to choose (2 diverged)")
        assert Path(event["folder"], "record.json").is_file()
