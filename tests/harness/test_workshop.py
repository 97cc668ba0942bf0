"""The commands for authors of methods: what they print, write, refuse, and exit with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.tiny import ARCHITECTURES
from runners.check import PROMISES
from tests.harness.commands import call, no_mirror
from tests.harness.plugins import METHOD, PARTS, forget, write_distribution
from tests.runners.faulty import install, installed

__all__ = ["no_mirror"]


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[None]:
    with installed(install(tmp_path / "plugins", ("in_count", "refuses"))):
        yield


def test_check_prints_a_line_per_promise_and_exits_with_0() -> None:
    called = call("check", "method", "head_only")
    assert called.code == 0, called.err
    lines = called.out.splitlines()
    assert lines[0] == "head_only on tiny:bert: 14 kept, 0 broken, 2 not applicable"
    assert [re.split(r"  +", line.strip())[1] for line in lines[1:]] == ["card", *PROMISES]
    assert re.search(r"^  n\.a\.    budget +the method has one size$", called.out, re.MULTILINE)
    assert re.search(r"^  kept    count +0 scalars$", called.out, re.MULTILINE)


def test_check_exits_with_1_where_a_promise_is_broken_and_says_why(faulty: None) -> None:
    called = call("check", "method", "in_count")
    assert called.code == 1
    assert re.search(r"^  BROKEN  count +TypeError: count went wrong$", called.out, re.MULTILINE)
    assert called.out.startswith("in_count on tiny:bert: ")


def test_check_json_holds_every_finding_of_every_backbone() -> None:
    called = call("check", "method", "base", "--all-architectures", "--json")
    assert called.code == 0, called.err
    checked = json.loads(called.out)
    assert checked["method"] == "base"
    assert list(checked["backbones"]) == [f"tiny:{name}" for name in ARCHITECTURES]
    for findings in checked["backbones"].values():
        assert [one["promise"] for one in findings] == ["card", *PROMISES]
        assert {frozenset(one) for one in findings} == {frozenset({"promise", "outcome", "detail"})}


@pytest.mark.parametrize(
    ("method", "second", "last", "code"),
    [
        ("bitfit", "gpt2", "2 backbones: 2 kept, 0 broken, 0 not applicable", 0),
        ("bitfit", "llama", "2 backbones: 1 kept, 0 broken, 1 not applicable", 0),
        ("in_count", "gpt2", "2 backbones: 0 kept, 2 broken, 0 not applicable", 1),
    ],
)
def test_several_backbones_end_with_one_line_for_all_of_them(
    faulty: None, monkeypatch: pytest.MonkeyPatch, method: str, second: str, last: str, code: int
) -> None:
    monkeypatch.setattr("harness.tiny.ARCHITECTURES", {name: ARCHITECTURES[name] for name in ("bert", second)})
    called = call("check", "method", method, "--all-architectures")
    assert called.code == code, called.err
    assert called.out.endswith(f"\n{last}\n")
    assert called.out.count(" backbones: ") == 1


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["lora", "--set", "rank=2"], 1792),
        (["lora", "--set", "rank=2", "--set", "alpha=3e0"], 1792),
        (["lora", "--budget", "900"], 896),
        (["random_mask", "--budget", "77"], 77),
    ],
)
def test_check_takes_values_and_a_budget(words: list[str], count: int) -> None:
    called = call("check", "method", *words)
    assert called.code == 0, called.out + called.err
    assert re.search(rf"^  kept    count +{count} scalars$", called.out, re.MULTILINE), called.out


def test_check_in_bf16() -> None:
    assert call("check", "method", "head_only", "--dtype", "bfloat16", "--backbone", "tiny:gpt2").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lroa"], "unknown method 'lroa'; did you mean lora"),
        (["lora", "--backbone", "tiny:brt"], "unknown backbone 'tiny:brt'; did you mean tiny:bert"),
        (["lora", "--device", "cuba"], "unknown device 'cuba' in --device"),
        (["lora", "--dtype", "float8"], "float8"),
        (["lora", "--set", "rnk=2"], "method 'lora': unknown key 'rnk'; did you mean rank"),
        (["lora", "--set", "rank=many"], "method 'lora': rank: .*integer.*'many' came"),
        (["lora", "--set", "rank"], "--set takes KEY=VALUE"),
        (["lora", "--budget", "0"], "--budget"),
        (["lora", "--budget", "900", "--set", "rank=2"], "'lora' has a budget, which sets rank; give one of --budget"),
        (["goft", "--budget", "900"], "'goft' has one size and takes no budget; leave --budget out"),
        (["lora", "--budget", "1"], "'lora' is not applicable to tiny:bert: smallest is 896"),
        (["bitfit", "--backbone", "tiny:llama"], "'bitfit' is not applicable to tiny:llama: .* has no biases"),
    ],
)
def test_check_refuses_bad_input_by_name(words: list[str], message: str) -> None:
    called = call("check", "method", *words)
    assert called.code == 2
    assert re.search(message, called.err), called.err


def test_a_method_that_refuses_what_planning_took_is_broken_and_not_bad_input(faulty: None) -> None:
    called = call("check", "method", "refuses")
    assert called.code == 1
    assert "BROKEN  count" in called.out


def test_new_writes_a_package_outside_of_a_checkout_that_keeps_every_promise(tmp_path: Path) -> None:
    called = call("new", "method", "my_scale", "--out", tmp_path)
    assert called.code == 0, called.err
    package = tmp_path / "paretune-my-scale"
    wrote = {line.removeprefix("wrote ") for line in called.out.splitlines() if line.startswith("wrote ")}
    paths = {package / name for name in ("pyproject.toml", "paretune_my_scale.py", "tests/test_my_scale.py")}
    assert wrote == {str(path) for path in paths}
    assert {path for path in package.rglob("*") if path.is_file()} == paths
    assert called.out.splitlines()[-3:] == [
        f"install it with: python -m pip install --no-deps --no-build-isolation --editable {package}",
        f"then: python -m pytest {package}",
        "check it with: paretune check method my_scale",
    ]
    site = write_distribution(package, {}, {"paretune.methods": "paretune_my_scale"}, "paretune-my-scale")
    with installed(site):
        checked = call("check", "method", "my_scale", "--backbone", "tiny:gpt2")
        assert checked.code == 0, checked.out
        assert checked.out.startswith("my_scale on tiny:gpt2: 14 kept, 0 broken, 2 not applicable")
        assert pytest.main(["-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(package / "tests")]) == 0


def test_new_writes_a_file_and_its_test_inside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("methods/__init__.py", "harness/method.py"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch()
    monkeypatch.chdir(tmp_path)
    called = call("new", "method", "my_scale")
    assert called.code == 0, called.err
    assert "pip install" not in called.out
    assert "then: python -m pytest tests/methods/test_my_scale.py\n" in called.out
    assert "from methods.my_scale import MyScale" in (tmp_path / "tests/methods/test_my_scale.py").read_text()
    assert (tmp_path / "methods/my_scale.py").is_file()


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    assert call("new", "method", "my_scale", "--out", tmp_path).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for path in before:
        path.write_bytes(b"mine")
    called = call("new", "method", "my_scale", "--out", tmp_path)
    assert called.code == 2
    assert "is there already and is not overwritten" in called.err
    assert all(path.read_bytes() == b"mine" for path in before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lora", "a method named 'lora' is registered already"),
        ("My-Method", "'My-Method' is no name for a method; use lower-case letters"),
        ("class", "'class' is no name for a method"),
        ("../up", "is no name for a method"),
        ("9lives", "is no name for a method"),
        ("", "is no name for a method"),
        ("json", "'json' is the name of a Python module that is installed here"),
        ("torch", "'torch' is the name of a Python module that is installed here"),
        ("pydantic_core", "could shadow; choose another, such as my_pydantic_core"),
        ("harness", "'harness' is the name of a Python module"),
        ("test_mine", "'test_mine' begins with test_, so its file would be taken for a test"),
    ],
)
def test_new_refuses_a_name_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    called = call("new", "method", name, "--out", tmp_path)
    assert called.code == 2
    assert message in called.err
    assert list(tmp_path.iterdir()) == []


def test_new_needs_a_folder(tmp_path: Path) -> None:
    called = call("new", "method", "my_scale", "--out", tmp_path / "absent")
    assert called.code == 2
    assert f"{tmp_path / 'absent'} is not a folder" in called.err


def test_check_finds_a_third_partys_method(tmp_path: Path) -> None:
    files = {"their_plugin/__init__.py": "", "their_plugin/method.py": METHOD, "their_plugin/parts.py": PARTS}
    site = write_distribution(tmp_path / "site", files, {"paretune.methods": "their_plugin.method"})
    with installed(site):
        called = call("check", "method", "theirs")
        assert called.code == 0, called.out + called.err
    forget()


def test_bench_json_has_the_shape_of_the_design() -> None:
    called = call(
        *("bench", "--backbone", "tiny:bert", "--methods", "random_mask", "--targets", "linear", "--budgets", "1%"),
        *("--batch", "2", "--length", "8", "--rounds", "3", "--warmup", "4", "--clock", "process", "--json"),
    )
    assert called.code == 0, called.err
    written = json.loads(called.out)
    assert written["setting"] == {
        **{"backbone": "tiny:bert", "batch": 2, "length": 8, "device": "cpu", "dtype": "float32", "threads": 1},
        **{"optimizer": "adamw", "lr": 1e-4, "rounds": 3, "warmup": 4, "clock": "process"},
    }
    assert written["environment"].keys() >= {"torch", "processor", "cores", "commit"}
    rows = written["methods"]
    named = {"method", "targets", "budget", "step_seconds", "ratio_to_limit", "ratio_to_lora", "peak_bytes"}
    assert all(named <= row.keys() for row in rows)
    assert {row["method"] for row in rows} == {"limit", "dense_weight_gradient", "lora", "random_mask"}


def test_bench_shows_its_setting_first_and_exits_with_2_where_nothing_asked_for_could_be_timed() -> None:
    called = call(
        *("bench", "--backbone", "tiny:bert", "--methods", "base", "--targets", "linear"),
        *("--batch", "2", "--length", "8", "--rounds", "3"),
    )
    assert called.code == 2
    assert "could be timed (base on none: base trains nothing" in called.err
    lines = called.out.splitlines()
    assert lines[0].startswith("backbone tiny:bert, batch 2, length 8, device cpu, dtype float32, threads 1")
    assert "rounds 3, warmup 2, clock wall; " in lines[0]
    assert "torch" in lines[0]
    assert {"limit", "lora"} <= {line.split()[0] for line in lines[2:]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "lroa"], "unknown method 'lroa'; did you mean lora"),
        (["--methods", "lora,"], "--methods: 'lora,' came"),
        (["--budgets", "much"], "--budgets: .*such as 5000"),
        (["--budgets", "ladder"], r"--budgets: 'ladder' is no budget; .*up to 100%\)$"),
        (["--targets", "none"], "targets: none came; .* query_value, attention, mlp, linear, all"),
        (["--warmup", "1"], "warmup: 1 came"),
        (["--clock", "process", "--threads", "2"], "2 threads on cpu came"),
        (["--clock", "sundial"], "wall.*process"),
        (["--targets", "liner"], "unknown targets 'liner'; did you mean linear"),
        (["--rounds", "1"], "rounds: 1 came"),
        (["--backbone", "tiny:brt"], "did you mean tiny:bert"),
        (["--length", "100000", "--backbone", "tiny:bert"], "length: 100000 came"),
    ],
)
def test_bench_refuses_bad_input_by_name(words: list[str], message: str) -> None:
    called = call("bench", *words)
    assert called.code == 2
    assert re.search(message, called.err), called.err
