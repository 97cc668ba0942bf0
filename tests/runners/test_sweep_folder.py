"""A sweep's folder: damaged records, one scheduler at a time, and what dead ones left in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.api import plan_suite
from harness.matrix import expand
from harness.record import RECORD_FILE, STARTED_FILE, write_once
from runners.attempt import Started, attempts, open_attempt, owner, records, unfinished
from runners.sweep import Busy, hold, remove, superseded
from tests.harness.commands import call
from tests.runners.conftest import Finished
from tests.runners.faulty import contents, history, states, suite, write_suite


def test_damaged_records_are_named_the_rest_is_used_and_the_exit_code_is_1(
    copied: Finished,
) -> None:
    base, head_only = (copied.out / record.run_id / "001" / RECORD_FILE for record in copied.result.records[:2])
    good = base.read_bytes()
    base.write_bytes(good[: len(good) // 2])
    head_only.write_text('{"title": "not ours"}', encoding="utf-8")
    plan = plan_suite(copied.file, out=copied.out)
    assert plan.counts() == {"done": 4, "todo": 2, "stale": 0, "not_applicable": 2}
    assert [str(path) in message for path, message in zip((base, head_only), plan.unreadable, strict=True)] == [
        True
    ] * 2
    told = call("run", copied.file, "--out", copied.out, "--only", "method=base", "--workers", "1")
    assert told.code == 1
    assert f"unreadable: {base}" in told.err
    assert str(head_only) not in told.err
    assert [record.status for record in records(copied.out, base.parts[-3])[0]] == ["ok"]
    assert base.read_bytes() == good[: len(good) // 2]
    # Its answer is complete now, but the damaged file is still named.
    told = call("run", copied.file, "--out", copied.out, "--only", "method=base")
    assert told.code == 1
    assert "nothing to do" in told.out


def test_a_backbone_of_the_wrong_kind_is_not_applicable_and_a_suite_of_nothing_else_is_bad_input(
    tmp_path: Path,
) -> None:
    file = write_suite(tmp_path / "images.yaml", ["base", "lora"], backbones=["tiny:vit"])
    for _ in range(2):
        told = call("run", file, "--out", tmp_path / "out")
        assert told.code == 2
        assert "needs a backbone that reads text; vision came" in told.err
    assert [path.name for path in sorted((tmp_path / "out").glob("*/*"))] == ["001", "001"]
    both = write_suite(tmp_path / "both.yaml", ["base"], backbones=["tiny:vit", "tiny:bert"])
    assert states(plan_suite(both, out=tmp_path / "out")) == ["not_applicable", "todo"]


def test_a_method_whose_count_is_broken_does_not_keep_the_others_from_running(tmp_path: Path, faulty: Path) -> None:
    assert states(plan_suite(suite(["in_count", "base"]), out=tmp_path)) == ["todo", "todo"]


def test_a_second_scheduler_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    with hold(tmp_path / "out"):
        with (
            pytest.raises(Busy, match=f"process {os.getpid()} on .* already runs a suite in .*--out"),
            hold(tmp_path / "out"),
        ):
            raise AssertionError("two schedulers on one folder")
        assert call("clean", tmp_path / "out").code == 2
    with hold(tmp_path / "out"):
        pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = write_suite(tmp_path / "one.yaml", ["base"])
    told = call("run", file, "--out", tmp_path / "file" / "out")
    assert told.code == 2
    assert "cannot be written" in told.err


def test_holding_a_folder_closes_what_dead_owners_left_and_nothing_else(tmp_path: Path, faulty: Path) -> None:
    specs = expand(suite(["base", "head_only", "waiting", "full"])).specs
    for spec, change in zip(specs, ({"pid": 2**22 + 1}, {}, {"boot_id": "before"}, None), strict=True):
        folder = tmp_path / spec.run_id / "001"
        folder.mkdir(parents=True)
        by = owner().model_copy(update=change or {})
        started = Started(run_id=spec.run_id, attempt=1, suite=None, started="then", spec=spec, owner=by)
        text = started.model_dump_json() if change is not None else '{"half": '
        write_once(folder / STARTED_FILE, text)
    before = contents(tmp_path)
    with hold(tmp_path):
        found = [[record.status for record in records(tmp_path, spec.run_id)[0]] for spec in specs]
    assert found == [["lost"], [], ["lost"], []]
    assert [attempt.run_id for attempt, _ in unfinished(tmp_path)] == [specs[1].run_id]
    assert before.items() <= contents(tmp_path).items()
    assert "does not tell who started" in plan_suite(suite(["full"]), out=tmp_path).unreadable[0]


def test_only_lost_and_cancelled_attempts_before_an_ok_one_are_removed(tmp_path: Path) -> None:
    first, second = expand(suite(["base", "head_only"])).specs
    history(tmp_path, first, [("lost", True), ("failed", True), ("cancelled", True), ("ok", False), ("lost", True)])
    history(tmp_path, second, [("lost", True), ("lost", True)])
    found = superseded(tmp_path)
    assert [(attempt.run_id, attempt.number) for attempt in found] == [(first.run_id, 1), (first.run_id, 3)]
    remove(found)
    assert [attempt.number for attempt in attempts(tmp_path, first.run_id)] == [2, 4, 5]
    assert len(attempts(tmp_path, second.run_id)) == 2


def test_what_is_advised_for_bad_runs_is_what_helps(tmp_path: Path) -> None:
    file, out = write_suite(tmp_path / "two.yaml", ["base", "head_only"]), tmp_path / "out"
    for spec, status in zip(expand(suite(["base", "head_only"])).specs, ("ok", "diverged"), strict=True):
        history(out, spec, [(status, True)])
    told = call("run", file, "--out", out)
    assert told.code == 1
    advice = [line for line in told.out.splitlines() if line.startswith("try what")]
    assert advice == [f"try what is not ok again with: paretune run {file} --out {out} --retry diverged"]


@pytest.mark.parametrize(("suite_name", "closed"), [("small", True), (None, False)])
def test_an_attempt_of_another_machine_is_closed_only_if_its_scheduler_gave_the_folder_up(
    tmp_path: Path, suite_name: str | None, closed: bool
) -> None:
    attempt = open_attempt(tmp_path, expand(suite(["base"])).specs[0], suite_name)
    path = attempt.folder / STARTED_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    content["owner"]["host"] = "elsewhere"
    path.write_text(json.dumps(content), encoding="utf-8")
    with hold(tmp_path):
        assert (attempt.folder / RECORD_FILE).exists() is closed
