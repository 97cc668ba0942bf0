"""A suite is planned without its weights and data, which are named; it is not run without them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.api import plan_suite, run_suite
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.matrix import expand
from harness.suite import read
from runners.absent import look, require
from runners.attempt import close_without_worker, open_attempt
from tests.harness.commands import call, no_mirror, write_suite

__all__ = ["no_mirror"]

ONLY = ("--only", "task=glue/rte,method=pst,seed=0")


def test_a_paper_plans_without_weights_and_data_and_ends_as_a_run_would(tmp_path: Path) -> None:
    called = call("plan", "pst", *ONLY, "--out", tmp_path / "out")
    assert called.code == 2
    assert (
        len(
            re.findall(
                r"pst sparsity=\S+ .* trial  trains 2,820,096  \(never run; its weights and its data", called.out
            )
        )
        > 20
    )
    assert "pst: 0 done, 54 todo, 0 stale, 0 not_applicable" in called.out
    assert called.err.count("error: the weights of hub:") == 2
    assert called.err.count("error: glue/rte needs the dataset nyu-mll/glue") == 1
    assert "google-bert/bert-base-uncased are not here" in called.err
    assert not (tmp_path / "out").exists()


def test_machines_are_told_the_same(tmp_path: Path) -> None:
    called = call("plan", "pst", *ONLY, "--out", tmp_path / "out", "--json")
    told = json.loads(called.out)
    assert called.code == 2
    assert len(told["missing"]) == 3
    assert {run["trained"] for run in told["runs"] if run["run_id"]} == {2_820_096}
    assert {run["backbone"] for run in told["runs"]} == {
        "hub:google-bert/bert-base-uncased",
        "hub:FacebookAI/roberta-base",
    }


def test_a_run_ends_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="the backbone .* could not be fetched from the hub"):
        run_suite("fish", out=tmp_path / "out", only="task=glue/rte,method=full", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_backbone_without_a_shape_is_refused(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, backbones=["hub:nobody/knows"])
    called = call("plan", suite, "--out", tmp_path / "out")
    assert called.code == 2
    assert called.err.startswith("error: the backbone 'nobody/knows' could not be fetched")


def test_what_was_recorded_elsewhere_is_not_called_done(tmp_path: Path) -> None:
    first = plan_suite("fish", out=tmp_path, only="task=glue/rte,method=full,seed=0").runs[0]
    assert first.reason == "never run; its weights and its data are not here"
    close_without_worker(open_attempt(tmp_path, first.spec, "fish"), "failed", "Toy", "it failed elsewhere")
    again = plan_suite("fish", out=tmp_path, only="task=glue/rte,method=full,seed=0").runs[0]
    assert (again.state, again.trained) == ("todo", 333_579_264)
    assert again.reason == "recorded before, and its weights and its data are not here to compare"


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    local = expand(read(str(write_suite(tmp_path)))).specs
    assert look(local, DataSource()).messages == ()
    assert look(local, DataSource()).files == require(local, DataSource()).files
    paper = expand(read("goft")).specs
    found = look(paper, DataSource())
    assert found.outlined == {"hub:microsoft/deberta-v3-base"}
    assert found.data == {spec.train for spec in paper} | {"glue/mnli_mismatched"}
    assert len(found.messages) == 1 + len(found.data)
    with pytest.raises(MissingPrerequisite):
        require(paper, DataSource())
