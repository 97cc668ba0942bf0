"""What each mistake in a suite is told: what came, what is allowed, what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import UnknownName
from harness.matrix import Filter, check_values, expand, parse_only
from harness.suite import BadSuite, parse, read
from tests.harness.test_suite import SMALL, specs, write


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metods": ["base"]}, "unknown key 'metods'; did you mean methods"),
        ({"training": {"learning": 1}}, "unknown key 'learning' in training; .*(did you mean|known)"),
        ({"training": {"epoch": 1}}, "unknown key 'epoch' in training; did you mean epochs"),
        ({"sizes": {"tran": 1}}, "unknown key 'tran' in sizes; did you mean train"),
        ({"tasks": [{"train": "glue/rte", "scores": []}]}, "unknown key 'scores' in tasks.0; did you mean score"),
        ({"overrides": [{"wen": {}}]}, "unknown key 'wen' in overrides.0; did you mean when"),
        ({"overrides": [{"when": {"metod": "a"}}]}, "unknown key 'metod' in overrides.0.when; did you mean method"),
        (
            {"overrides": [{"when": {}, "training": {"batch": 1}}]},
            "unknown key 'batch' in overrides.0.training; did you mean batch_size",
        ),
        ({"overrides": [{"when": {}, "training": {"lr": -1}}]}, "overrides.0.training.lr: .*greater than 0 .*-1"),
        ({"overrides": [{"when": {}, "sizes": {"train": 0}}]}, "overrides.0.sizes.train: .*greater"),
        ({"overrides": [{"when": {"budget": "120%"}}]}, "budget '120%' is out of range; allowed are"),
        ({"overrides": [{"when": {"budget": "ladder"}}]}, "'ladder' is no budget; allowed are"),
        ({"training": {"lr": "fast"}}, r"training.lr: .*number.* \('fast' came\)"),
        ({"training": {"lr": math.inf}}, "training.lr: .*finite"),
        ({"training": {"optimizer": "adam"}}, "training.optimizer: .*'adamw' or 'sgd'.*'adam' came"),
        ({"training": 3}, "training: .*3 came"),
        ({"seeds": []}, "seeds: .*name at least one"),
        ({"seeds": [-1]}, "seeds.0: .*greater than or equal to 0"),
        ({"seeds": 3}, "seeds: .*no list"),
        ({"methods": []}, "methods: .*name at least one"),
        ({"methods": "base"}, "methods: .*'base' came"),
        ({"methods": [{"lora": {"rank": 8}, "full": {}}]}, "methods: a method is a name, or one name with its values"),
        ({"methods": [{"lora": 8}]}, r"methods: a method is a name, or one name with its values such as \{lora"),
        ({"methods": [{"random_mask": {"budget": []}}]}, "methods.0.budgets: .*name at least one"),
        ({"methods": [{"random_mask": {"budget": 0}}]}, "budget 0 is out of range; allowed are a count"),
        ({"methods": [{"random_mask": {"budget": "150%"}}]}, "budget '150%' is out of range"),
        (
            {"methods": [{"random_mask": {"budget": "lots"}}]},
            "'lots' is no budget; allowed .*, or the word ladder",
        ),
        ({"methods": [{"random_mask": {"budget": True}}]}, "True is no budget"),
        ({"methods": [{"random_mask": {"budget": ["ladder", 0]}}]}, "budget 0 is out of range; .*, or the word ladder"),
        ({"tasks": []}, "tasks: .*name at least one"),
        ({"tasks": [{"score": ["glue/rte"]}]}, "'tasks.0.train' is missing"),
        ({"policy": "heldout"}, "policy: .*'held_out', 'as_published', 'subsampled' or 'final_on_all'"),
        ({"keep": "everything"}, "keep: .*'none', 'final' or 'all'"),
        ({"name": "../elsewhere"}, "name: .*pattern"),
        ({"threads": 0}, "threads: .*greater"),
        ({"max_minutes": 0}, "max_minutes: .*greater"),
        ({"resources": {"ranks": 2, "shard": True}}, "unknown key 'shard' in resources; did you mean sharded"),
        ({"resources": {"sharded": True}}, "resources: sharded divides a backbone .*; set ranks to 2 or more"),
        ({1: 2}, "."),
    ],
)
def test_wrong_keys_and_values_are_named(changes: Mapping[Any, Any], message: str) -> None:
    with pytest.raises(BadSuite, match=message) as caught:
        parse({**SMALL, **changes}, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(BadSuite) as caught:
        parse({"name": "x", "tasks": ["glue/rte"], "trainig": {}, "seeds": ["a"]})
    for part in ("'backbones' is missing", "'methods' is missing", "did you mean training", "'a' came"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"methods": [{"fish": {"density": math.nan}}]}, {"seeds": ["a"]}, {"tasks": [{"score": ["glue/rte"]}]}],
)
def test_a_list_of_one_wrong_entry_is_not_called_empty(changes: dict[str, Any]) -> None:
    with pytest.raises(BadSuite) as caught:
        parse({**SMALL, **changes})
    assert "name at least one" not in str(caught.value)


def test_an_empty_list_within_a_wrong_entry_is_still_named() -> None:
    with pytest.raises(
        BadSuite, match=r"tasks.0.train: .*3 came.*; tasks.0.score: is empty; name at least one"
    ) as caught:
        parse({**SMALL, "tasks": [{"train": 3, "score": []}]})
    assert "tasks: " not in str(caught.value)


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(BadSuite) as caught:
        parse({**SMALL, "training": ["word"] * 500})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"methods": ["lroa"]}, UnknownName, "unknown method 'lroa' in small; did you mean lora"),
        ({"tasks": ["glue/rtee"]}, UnknownName, "unknown task 'glue/rtee' in small; did you mean glue/rte"),
        ({"tasks": [{"train": "glue/rte", "score": ["glue/qnl"]}]}, UnknownName, "did you mean .*glue/qnli"),
        ({"protocol": "clasify"}, UnknownName, "unknown protocol 'clasify' .*did you mean classify"),
        ({"targets": "liner"}, UnknownName, "unknown targets 'liner' .*did you mean linear"),
        ({"targets": [], "methods": ["lora"]}, BadSuite, "targets is an empty list"),
        ({"methods": [{"base": {"budget": "1%"}}]}, BadSuite, "'base' has one size and takes no budget"),
        ({"methods": [{"lora": {"budget": "1%", "rank": 8}}]}, BadSuite, "'lora' has a budget, which sets rank"),
        ({"overrides": [{"when": {"method": "lorra"}}]}, UnknownName, "'lorra' in small, overrides; did you mean lora"),
        ({"overrides": [{"when": {"task": ["glue/rt"]}}]}, UnknownName, "'glue/rt' in small, overrides; did you mean"),
        ({"tasks": ["glue/mnli_mismatched"]}, BadSuite, "no training split; write {train: glue/mnli, score: "),
        ({"tasks": [{"train": "glue/rte", "score": ["glue/stsb"]}]}, BadSuite, "their labels differ"),
    ],
)
def test_names_and_values_that_make_no_sense_are_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        specs(**changes)


def test_an_override_for_another_suites_method_is_no_mistake() -> None:
    override = {"when": {"method": "lora"}, "training": {"lr": 0.5}}
    assert specs(overrides=[override])[0].training.lr == 1e-3


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("metod=base", "--only takes KEY=VALUE with a key of backbone, method, task, budget, seed.*'metod=base' came"),
        ("base", "'base' came"),
        ("method=bse", "unknown method 'bse' in suite small; did you mean base"),
        ("seed=7", "unknown seed '7' in suite small; known: 0, 1, 2"),
        ("task=glue/rte", "unknown task 'glue/rte'"),
        ("budget=1%", "nothing is left to run with --only budget=1%; widen the filter"),
        ("budget=abc", "'abc' is no budget; allowed are [^;]*\\)$"),
        ("budget=ladder", "'ladder' is no budget"),
    ],
)
def test_a_filter_that_fits_nothing_is_refused(only: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand(parse(SMALL), parse_only(only))
    assert parse_only("method=base,seed=0") == (Filter("method", "base"), Filter("seed", "0"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.lrr=1", "unknown key 'lrr' in training; did you mean lr"),
        ("lr", "--set takes KEY=VALUE such as training.lr=1e-2; 'lr' came"),
        ("=1", "--set takes KEY=VALUE"),
        ("seeds.0=1", "--set seeds.0: 'seeds' is not a mapping"),
        ("seeds=[", r"--set seeds: '\[' is not YAML"),
        ("a.b.c=1", "unknown key 'a'"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    path = write(tmp_path, yaml.safe_dump({**SMALL, "seeds": [0]}))
    with pytest.raises(BadSuite, match=message):
        read(path, [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a, b]", "holds a list, but a suite is a mapping of keys to values"),
        ("", "holds nothing, but a suite is a mapping"),
        ("just words", "holds a str"),
        ("a: [", "my.yaml is not YAML"),
        ("a: 1\n---\nb: 2", "my.yaml is not YAML"),
        ("name: x\nseeds: [0]\nseeds: [1]", "the key 'seeds' stands twice"),
        ("name: 2025-99-99", "my.yaml is not YAML: month must be"),
        ("!!python/object:os.system {}", "my.yaml is not YAML"),
    ],
)
def test_what_is_no_suite_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadSuite, match=message):
        read(write(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadSuite, match="my.yaml is not YAML"):
        read(str(tmp_path / "my.yaml"))


@pytest.mark.parametrize(("name", "message"), [("quik", "did you mean quick"), ("x" * 5000, "cannot be read")])
def test_a_suite_that_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(name)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"lora": {"rnk": 8}}, "method 'lora': unknown key 'rnk'; did you mean rank"),
        ({"lora": {"rank": 0}}, "method 'lora': rank: .*greater than or equal to 1 .*0 came"),
        ({"lora": {"rank": "many"}}, "method 'lora': rank: .*integer.*'many' came"),
        ({"base": {"rank": 8}}, "method 'base': unknown key 'rank'"),
        ({"random_mask": {"density": 0}}, r"method 'random_mask': density: .*greater than 0 \(0 came\)$"),
        ({"fish": {"density": 0.1, "ratio": 0.1}}, "^method 'fish': density and ratio state the size twice"),
    ],
)
def test_a_methods_own_values_are_checked(method: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSuite, match=message):
        check_values(specs(methods=[method]))
    check_values(specs(methods=["base", {"lora": {"rank": 8}}]))
