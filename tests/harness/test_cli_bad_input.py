"""What each mistake at the command line is told: exit code 2, before any work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runners.sweep import hold
from tests.harness.commands import Called, call, no_mirror, record_paths, write_spec, write_suite
from tests.leaderboard.small_board import write_small_board
from tests.tasks.lm_tasks import TASKS
from tests.tasks.lm_tasks import write as write_tasks

__all__ = ["no_mirror"]


@pytest.mark.parametrize(
    "words", [["nonsense"], ["plan"], ["run", "quick", "--sead", "1"], ["run", "quick", "--workers", "x"]]
)
def test_words_that_are_no_command_exit_with_2(words: list[str]) -> None:
    assert call(*words).code == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "lroa"}, "unknown method 'lroa'; did you mean lora"),
        ({"train": "embedded/polarty"}, "unknown task 'embedded/polarty'; did you mean embedded/polarity"),
        ({"score": ["embedded/x"]}, "unknown task 'embedded/x'"),
        ({"backbone": "tiny:brt"}, "unknown backbone 'tiny:brt'; did you mean tiny:bert"),
        ({"backbone": "tinny:bert"}, "unknown backbone scheme 'tinny' in tinny:bert; did you mean tiny"),
        ({"backbone": "path:/no/such/folder"}, "path:/no/such/folder is not a folder"),
        ({"backbone": "package:no_such_package/model"}, "needs the Python package 'no_such_package'"),
        ({"protocol": "clasify"}, "unknown protocol 'clasify' in embedded/polarity; did you mean classify"),
        ({"method": "lora", "values": {"rnk": 8}}, "method 'lora': unknown key 'rnk'; did you mean rank"),
        ({"method": "full"}, "method 'full' always has targets 'all'; 'none' came"),
        ({"sead": 1}, "holds no spec: unknown key 'sead'; did you mean seed"),
        ({"training": {"lr": -1}}, r"holds no spec: training.lr: .*\(-1 came\)"),
        ({"budget": {"fraction": 2}}, "holds no spec: budget.fraction: .*less than or equal to 1"),
        ({"train": "glue/rte", "score": ["glue/rte"]}, "glue/rte needs the dataset nyu-mll/glue .*no mirror"),
    ],
)
def test_run_one_refuses_a_wrong_spec_before_any_work(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    called = call("run-one", write_spec(tmp_path, **changes), tmp_path / "out")
    assert called.code == 2, called
    assert re.search(message, called.err), called.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "null"])
def test_run_one_refuses_a_file_that_is_no_spec(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text, encoding="utf-8")
    for name in ("spec.json", "absent.json", ""):
        called = call("run-one", tmp_path / name, tmp_path / "out")
        assert called.code == 2
        assert "holds no spec" in called.err


BAD_SUITES: list[tuple[dict[str, Any], str]] = [
    ({"methods": ["lroa"]}, "unknown method 'lroa' in small; did you mean lora"),
    ({"tasks": ["glue/rtee"]}, "unknown task 'glue/rtee' in small; did you mean glue/rte"),
    ({"backbones": ["tiny:brt"]}, "unknown backbone 'tiny:brt'; did you mean tiny:bert"),
    ({"backbones": ["tinny:bert"]}, "unknown backbone scheme 'tinny'"),
    ({"backbones": ["path:/no/such/folder"]}, "is not a folder"),
    ({"backbones": ["package:no_such_package/model"]}, "not installed; install it with"),
    ({"metods": []}, "unknown key 'metods'; did you mean methods"),
    ({"training": {"lrr": 1}}, "unknown key 'lrr' in training; did you mean lr"),
    ({"training": {"lr": "x"}}, "training.lr: .*'x' came"),
    ({"methods": [{"lora": {"rnk": 8}}]}, "method 'lora': unknown key 'rnk'; did you mean rank"),
    ({"methods": [{"lora": {"rank": 0}}]}, "method 'lora': rank: .*0 came"),
    ({"methods": ["random_mask"]}, "random_mask needs a size"),
    ({"methods": [{"random_mask": {"budget": "200%"}}]}, "budget '200%' is out of range; allowed are a count"),
    ({"methods": [{"random_mask": {"budget": 0}}]}, "budget 0 is out of range"),
    ({"methods": [{"full": {"budget": "1%"}}]}, "'full' has one size and takes no budget"),
    ({"methods": []}, "methods: .*name at least one"),
    ({"search": {"trials": 0}}, r"search.trials: .*greater than or equal to 1 \(0 came\)"),
    ({"protocol": "span"}, "unknown protocol 'span' in embedded/agreement"),
    ({"tasks": ["glue/rte"]}, "glue/rte needs the dataset nyu-mll/glue .*give --mirror DIR or PARETUNE_MIRROR=DIR"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_SUITES, ids=[message[:40] for _, message in BAD_SUITES])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_bad_suite_exits_with_2_before_any_work(
    tmp_path: Path, command: str, changes: dict[str, Any], message: str
) -> None:
    called = call(command, write_suite(tmp_path, **changes), "--out", tmp_path / "out")
    assert_refused(called, message)
    assert not (tmp_path / "out").exists()


def assert_refused(called: Called, message: str) -> None:
    assert called.code == 2, called
    assert called.err.startswith("error: ")
    assert re.search(message, called.err), called.err
    assert "Traceback" not in called.err
    assert "pydantic" not in called.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "method=bse"], "unknown method 'bse' in suite small; did you mean base"),
        (["--only", "colour=red"], "--only takes KEY=VALUE"),
        (["--only", "budget=3%"], "nothing is left to run with --only budget=3%; widen the filter"),
        (["--set", "training.lrr=1"], "unknown key 'lrr'"),
        (["--set", "training"], "--set takes KEY=VALUE"),
        (["--mirror", "/no/such/mirror"], "the mirror '/no/such/mirror' is not a folder; give --mirror"),
        (["--workers", "0"], "--workers is at least 1; 0 came"),
        (["--device", "cuda:99"], "unknown device 'cuda:99' in --device; did you mean|known: "),
        (["--executor", "slurms"], "unknown executor 'slurms' in --executor; did you mean slurm"),
        (["--retry", "fail"], "unknown status 'fail' in --retry; did you mean failed"),
        (["--retry", "ok"], "unknown status 'ok' in --retry"),
    ],
)
def test_a_bad_option_exits_with_2(tmp_path: Path, options: list[str], message: str) -> None:
    assert_refused(call("run", write_suite(tmp_path), "--out", tmp_path / "out", *options), message)
    assert not record_paths(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1, 2]", "holds a list, but a suite is a mapping"), ("a: [", "is not YAML"), ("", "nothing")],
)
def test_a_file_that_is_no_suite_exits_with_2(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert_refused(call("plan", tmp_path / "my.yaml"), message)
    assert_refused(call("plan", tmp_path / "absent.yaml"), "unknown suite .*known: .*quick")


def test_a_mirror_without_the_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, mirror = write_suite(tmp_path, tasks=["glue/rte"]), tmp_path / "mirror"
    mirror.mkdir()
    message = f"the mirror {mirror} has no nyu-mll/glue/rte/train.parquet, which glue/rte needs"
    assert_refused(call("run", suite, "--out", tmp_path / "out", "--mirror", mirror), re.escape(message))
    monkeypatch.setenv("PARETUNE_MIRROR", str(mirror))
    assert_refused(call("run", suite, "--out", tmp_path / "out"), re.escape(message))
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path / "gone"))
    assert_refused(call("run", suite, "--out", tmp_path / "out"), "is not a folder")
    assert not (tmp_path / "out").exists()


def unwritable(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    yield tmp_path / "file"
    yield tmp_path / "file" / "below"
    if Path("/proc/self").is_dir():  # may not be written even by root
        yield Path("/proc/paretune")


def test_an_output_folder_that_cannot_be_written_exits_with_2(tmp_path: Path) -> None:
    suite, spec = write_suite(tmp_path), write_spec(tmp_path)
    for out in unwritable(tmp_path):
        assert_refused(call("run", suite, "--out", out), f"the folder {out} cannot be written .*; choose another")
        assert_refused(call("run-one", spec, out), f"the folder {out} cannot be written .*; choose another")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("command", ["status", "board", "clean"])
def test_a_folder_that_is_not_there_exits_with_2(tmp_path: Path, command: str) -> None:
    assert_refused(call(command, tmp_path / "gone"), "gone")


def test_a_site_that_cannot_be_written_exits_with_2(tmp_path: Path) -> None:
    write_small_board(tmp_path / "records")
    for out in unwritable(tmp_path):
        assert_refused(call("board", tmp_path / "records", "--out", out), "cannot be written")


def test_a_suite_of_which_nothing_is_applicable_exits_with_2(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, methods=[{"random_mask": {"budget": "100%"}}])
    for command in ("plan", "run"):
        called = call(command, suite, "--out", tmp_path / "out")
        assert called.code == 2
        assert "nothing in small is applicable: largest is" in called.err
        assert "0 done, 0 todo, 0 stale, 1 not_applicable\n" in called.out


def test_a_second_scheduler_is_told_of_the_first(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path), tmp_path / "out"
    with hold(out):
        assert_refused(call("run", suite, "--out", out), f"process {os.getpid()} on .* already runs a suite in {out}")


def test_neither_mirror_nor_hub_ends_before_any_work(tmp_path: Path) -> None:
    nobody = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "PARETUNE_MIRROR"} | nobody
    words = ["run", "glue_minilm", "--only", "task=glue/rte", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "harness.cli", *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "glue/rte needs the dataset nyu-mll/glue" in ended.stderr
    assert "--mirror DIR" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_task_with_hidden_labels_is_refused_by_name() -> None:
    tasks = "tasks=[{train: glue/mnli, score: [glue/mnli, glue/ax]}]"
    called = call("plan", "glue_minilm", "--set", tasks)
    assert called.code == 2
    assert "glue/ax cannot be scored here" in called.err


def test_a_users_code_runs_only_where_it_is_allowed(tmp_path: Path) -> None:
    toys = write_tasks(tmp_path, {"choice": TASKS["choice"] | {"doc_to_text": "thing"}}, train=40)
    (tmp_path / "code.py").write_text("def text(doc):\n    return f\"The {doc['thing']}:\"\n")
    path = tmp_path / "choice.yaml"
    path.write_text(path.read_text().replace("doc_to_text: thing", "doc_to_text: !function code.text"))
    changes = {"backbones": ["tiny:llama"], "methods": ["base"], "tasks": [toys.name("choice")]}
    suite = write_suite(tmp_path, **changes, sizes={"train": 8, "validation": 4, "test": 4})
    arguments = ("run", suite, "--out", tmp_path / "out", "--mirror", tmp_path / "mirror", "--workers", "1")
    assert_refused(call(*arguments), r"runs code of its own \(code.text\).*--allow-code")
    called = call(*arguments, "--allow-code")
    assert called.code == 0, called.err
    assert "1 ok" in called.out
