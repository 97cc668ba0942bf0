"""``status`` and ``reproduce`` from their words to their exit codes; ``clean`` is with the other commands' tests."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from harness.record import RECORD_FILE, read_record
from tests.harness.commands import Called, call, no_mirror, record_paths, write_spec, write_suite
from tests.harness.test_cli import best_time

__all__ = ["no_mirror"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run one small cell with three seeds."""
    folder = tmp_path_factory.mktemp("runs")
    suite = write_suite(folder, methods=[{"lora": {"rank": 2}}], seeds=[0, 1, 2])
    assert call("run", suite, "--out", folder / "out", "--workers", "1", "--device", "cpu").code == 0
    return folder / "out"


@pytest.fixture(name="copy")
def copied(runs: Path, tmp_path: Path) -> Path:
    """Give a copy of them that may be edited."""
    shutil.copytree(runs, tmp_path / "out")
    return tmp_path / "out"


def first(out: Path) -> Path:
    return record_paths(out)[0]


def edit(path: Path, **changes: Any) -> None:
    """Let a record tell another story."""
    path.write_text(read_record(path).model_copy(update=changes).to_json(), encoding="utf-8")


def with_score(path: Path, number: float) -> None:
    (score,) = read_record(path).scores
    edit(path, scores=(score.model_copy(update={"metrics": {score.headline: number}}),))


def again(out: Path, *options: str | Path) -> Called:
    return call("reproduce", first(out).parent.parent.name, "--out", out, "--device", "cpu", *options)


def test_a_run_comes_back_to_the_bit(runs: Path, tmp_path: Path) -> None:
    called = again(runs, "--into", tmp_path / "new")
    assert called.code == 0, called.err
    assert "accuracy: equal " in called.out
    assert "scored items: equal to the bit" in called.out
    assert "environment: the same\nmade of: the same\n" in called.out
    assert called.out.endswith(": equal\n")
    (new,) = record_paths(tmp_path / "new")
    assert read_record(new).run_id == read_record(first(runs)).run_id


def test_the_end_of_the_run_is_told_where_there_is_no_terminal(
    runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert again(runs, "--into", tmp_path / "new").code == 0
    assert re.search(r"^\[1/1\] ok  .* seed \d  \d+\.\d s$", capfd.readouterr().err, re.MULTILINE)


def test_json_says_the_same_for_machines(runs: Path, tmp_path: Path) -> None:
    called = again(runs, "--into", tmp_path / "new", "--json")
    facts = json.loads(called.out)
    assert (called.code, facts["verdict"], facts["items_equal"]) == (0, "equal", True)
    assert facts["folder"] == str(tmp_path / "new")
    assert [metric["verdict"] for metric in facts["metrics"]] == ["equal"]
    assert facts["metrics"][0]["interval"]["num_seeds"] == 3


@pytest.mark.parametrize(
    ("numbers", "code", "verdict"), [((0.5, 0.2, 0.9), 0, "within"), ((0.001, 0.002, 0.003), 1, "outside")]
)
def test_numbers_that_differ_are_held_against_the_spread_of_seeds(
    copy: Path, tmp_path: Path, numbers: tuple[float, ...], code: int, verdict: str
) -> None:
    for path, number in zip(record_paths(copy), numbers, strict=True):
        with_score(path, number)
    called = again(copy, "--into", tmp_path / "new")
    assert called.code == code
    assert f"accuracy: {verdict} " in called.out
    assert "3 seeds)" in called.out
    assert called.out.endswith(f": {verdict}\n")


def test_one_seed_that_does_not_come_back_is_inconclusive(copy: Path, tmp_path: Path) -> None:
    for path in record_paths(copy)[1:]:
        shutil.rmtree(path.parent.parent)
    with_score(first(copy), 0.001)
    called = again(copy, "--into", tmp_path / "new")
    assert called.code == 3
    assert "inconclusive  0.001000 then" in called.out
    assert "one seed was run, so how far seeds differ is not known" in called.out


def test_what_differs_in_environment_and_code_is_named(copy: Path, tmp_path: Path) -> None:
    record = read_record(first(copy))
    digests = record.digests.model_copy(update={"code": "older"})
    edit(first(copy), environment={**record.environment, "torch": "1.0"}, digests=digests)
    called = again(copy, "--into", tmp_path / "new")
    assert called.code == 0
    assert "environment: torch 1.0 then, " in called.out
    assert "made of: code older then, " in called.out


def test_a_trial_of_a_search_is_run_again_as_a_trial(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, method="head_only", purpose="trial")
    assert call("run-one", spec, tmp_path / "out", "--device", "cpu").code == 0
    called = again(tmp_path / "out", "--into", tmp_path / "new")
    assert called.code == 0, called.err
    assert "validation accuracy: equal " in called.out
    assert "validation loss: equal " in called.out
    assert not read_record(first(tmp_path / "new")).scores


def test_a_method_that_is_broken_now_is_outside(copy: Path, tmp_path: Path) -> None:
    """A rate at which training ends in no number stands in for what broke."""
    spec = json.loads(write_spec(tmp_path, method="full", targets="all").read_text())
    spec["training"] |= {"optimizer": "sgd", "lr": 1e30, "clip": None, "epochs": 4, "schedule": "constant"}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert call("run-one", tmp_path / "spec.json", tmp_path / "out2", "--device", "cpu").code == 1
    assert again(tmp_path / "out2", "--into", tmp_path / "same").code == 0, "it diverged then and diverges now"
    edit(first(tmp_path / "out2"), status="ok", error=None, scores=read_record(first(copy)).scores)
    called = again(tmp_path / "out2", "--into", tmp_path / "new")
    assert called.code == 1
    assert "status: ok then, diverged now (Diverged: " in called.out


def test_the_default_folder_is_a_fresh_one_and_is_named(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    called = again(runs)
    assert called.code == 0
    (made,) = tmp_path.iterdir()
    assert f"again in {made}" in called.err
    assert len(record_paths(made)) == 1


def test_a_record_that_is_not_there_is_no_data(runs: Path, tmp_path: Path) -> None:
    for words in (["zzz", "--out", runs], ["0", "--out", tmp_path / "gone"]):
        called = call("reproduce", *words, "--into", tmp_path / "new")
        assert called.code == 4
        assert "there is no record of run" in called.err
    assert not (tmp_path / "new").exists()


def test_data_or_weights_that_are_not_here_are_no_data(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    for changes in ({"train": "glue/rte", "score": ["glue/rte"]}, {"backbone": "path:/no/such/folder"}):
        spec = json.loads(write_spec(tmp_path, **changes).read_text())
        record = json.loads(first(copy).read_text())
        from harness.spec import Spec

        wanted = Spec.model_validate(spec)
        folder = tmp_path / "out2" / wanted.run_id / "001"
        folder.mkdir(parents=True)
        (folder / RECORD_FILE).write_text(json.dumps(record | {"spec": spec, "run_id": wanted.run_id}))
        called = call(
            "reproduce",
            wanted.run_id,
            "--out",
            tmp_path / "out2",
            "--mirror",
            tmp_path / "mirror",
            "--into",
            tmp_path / "x",
        )
        assert called.code == 4, called
        assert f"run {wanted.run_id} cannot be run again here: " in called.err
    assert not (tmp_path / "x").exists()


def test_bad_input_of_reproduce_exits_with_2(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    refused = {
        "ambiguous": call("reproduce", "", "--out", runs),
        "not empty": again(runs, "--into", tmp_path / "full"),
        "file": again(runs, "--into", tmp_path / "file"),
        "unknown device": again(runs, "--into", tmp_path / "new", "--device", "cuda:99"),
    }
    for message, called in refused.items():
        assert called.code == 2, called
        assert message in called.err
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    assert not record_paths(tmp_path)


def test_status_answers_in_under_a_second(runs: Path) -> None:
    assert best_time(["status", str(runs)], enough=1.0) < 1.0


def test_status_of_a_large_folder_takes_no_longer_than_reading_it(runs: Path, tmp_path: Path) -> None:
    text = first(runs).read_text(encoding="utf-8")
    for number in range(2, 1002):
        folder = tmp_path / first(runs).parent.parent.name / f"{number:03}"
        folder.mkdir(parents=True)
        (folder / RECORD_FILE).write_text(text, encoding="utf-8")
    began = time.process_time()
    assert json.loads(call("status", tmp_path, "--json").out)["runs"] == {"ok": 1}
    assert time.process_time() - began < 3.0
