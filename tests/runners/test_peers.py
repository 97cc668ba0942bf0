"""A worker of two ranks gives the record of one process, fails as a whole, and takes its peers along when it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.api import run_suite
from harness.record import RECORD_FILE, Record, read_record
from harness.spec import Spec
from harness.suite import Suite
from runners.attempt import attempts, read_started
from runners.peers import device_of
from tests.runners.faulty import suite

WITHOUT_DROPOUT = {"backbones": ["tiny:llama"]}
TOGETHER = {"resources": {"ranks": 2}, **WITHOUT_DROPOUT}


def records(asked: Suite, out: Path, observe: Any = None) -> dict[str, Record]:
    watching = (lambda plan: observe) if observe else None
    found = run_suite(asked, out=out, workers=1, device="cpu", observe=watching).records
    return {record.spec.method: record for record in found}


def test_two_ranks_give_the_numbers_of_one_process_within_rounding(tmp_path: Path) -> None:
    methods: list[Any] = ["base", {"lora": {"rank": 2}}, "full"]
    alone = records(suite(methods, **WITHOUT_DROPOUT), tmp_path / "alone")
    together = records(suite(methods, **TOGETHER), tmp_path / "together")
    assert [record.status for record in together.values()] == ["ok"] * 3
    for method, record in together.items():
        assert record.environment["ranks"] == 2
        assert "ranks" not in alone[method].environment
        assert record.run_id == alone[method].run_id, "how many devices it takes is no part of the question"
        for here, there in zip(record.validation, alone[method].validation, strict=True):
            assert here.validation_loss == pytest.approx(there.validation_loss, rel=1e-3)


def test_what_every_rank_meets_costs_one_run_and_a_rank_that_fails_costs_one_attempt(
    tmp_path: Path, faulty: Path
) -> None:
    found = records(suite(["refuses", "lacks", "head_only", "in_hook", {"lora": {"rank": 2}}], **TOGETHER), tmp_path)
    assert {method: record.status for method, record in found.items()} == {
        "refuses": "not_applicable",
        "lacks": "failed",
        "head_only": "ok",
        "in_hook": "failed",
        "lora": "ok",
    }


@pytest.mark.parametrize("sharded", [False, True])
def test_a_killed_peer_costs_one_attempt_and_nothing_is_left_running(tmp_path: Path, sharded: bool) -> None:
    killed: list[int] = []

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        if spec is not None and event["type"] == "step" and not killed:
            killed.append(read_started(attempts(tmp_path, spec.run_id)[0]).owner.pid)
            (peer,) = psutil.Process(killed[0]).children()
            os.kill(peer.pid, signal.SIGKILL)

    training = {"epochs": 5, "batch_size": 4, "max_length": 24, "lr": 1e-3}
    divided = {**TOGETHER, "resources": {"ranks": 2, "sharded": sharded}}
    (record,) = records(suite(["full"], training=training, **divided), tmp_path, observe).values()
    tries = [read_record(attempt.folder / RECORD_FILE).status for attempt in attempts(tmp_path, record.run_id)]
    assert tries == ["lost", "ok"]
    assert not psutil.pid_exists(killed[0])


def test_each_rank_has_a_gpu_and_all_share_a_cpu() -> None:
    assert [device_of("cuda", rank) for rank in (0, 1)] == ["cuda:0", "cuda:1"]
    assert device_of("cpu", 1) == "cpu"
