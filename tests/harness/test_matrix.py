"""A suite to specs: the same ones every time, each once, with the override that wins, and only what a filter picks."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UnknownName
from harness.matrix import expand, parse_only
from harness.spec import Spec
from harness.suite import BadSuite, parse

SMALL: dict[str, Any] = {
    "name": "small",
    "backbones": ["tiny:bert"],
    "methods": ["base"],
    "tasks": ["embedded/agreement"],
}


def specs(**changes: Any) -> tuple[Spec, ...]:
    return expand(parse({**SMALL, **changes})).specs


def test_expansion_is_the_same_every_time() -> None:
    assert [spec.run_id for spec in specs(seeds=[0, 1])] == [spec.run_id for spec in specs(seeds=[0, 1])]


def test_equal_runs_stand_once() -> None:
    assert len(specs(methods=["base", "base"], seeds=[0, 0, 1])) == 2
    assert len(specs(methods=[{"random_mask": {"budget": ["0.07%", 0.0007]}}], seeds=[0])) == 1


def test_later_overrides_win_and_match_every_key_given() -> None:
    found = specs(
        methods=["base", {"random_mask": {"budget": ["1%", 50]}}],
        tasks=["embedded/agreement", "embedded/polarity"],
        seeds=[0],
        overrides=[
            {"when": {}, "training": {"lr": 0.1}},
            {"when": {"method": ["random_mask"]}, "training": {"lr": 0.2, "clip": None}},
            {"when": {"method": "random_mask", "budget": 50}, "training": {"lr": 0.3}, "sizes": {"train": 9}},
            {"when": {"task": "embedded/polarity", "backbone": "tiny:bert"}, "training": {"epochs": 7}},
            {"when": {"backbone": "tiny:gpt2"}, "training": {"epochs": 9}},
        ],
    )
    shown = [
        (spec.method, str(spec.budget), spec.training.lr, spec.training.clip, spec.training.epochs, spec.sizes.train)
        for spec in found
    ]
    assert shown == [
        ("base", "None", 0.1, 1.0, 3, None),
        ("random_mask", "1 %", 0.2, None, 3, None),
        ("random_mask", "50", 0.3, None, 3, 9),
        ("base", "None", 0.1, 1.0, 7, None),
        ("random_mask", "1 %", 0.2, None, 7, None),
        ("random_mask", "50", 0.3, None, 7, 9),
    ]


def test_an_override_may_ask_for_values_of_a_method() -> None:
    found = specs(
        methods=[{"fish": {"budget": 50}}, {"fish": {"budget": 50, "reselect": True, "samples": 9}}, "base"],
        seeds=[0],
        overrides=[{"when": {"values": {"reselect": True}}, "training": {"lr": 0.5}}],
    )
    assert [spec.training.lr for spec in found] == [1e-3, 0.5, 1e-3]


@pytest.mark.parametrize(
    ("only", "number"),
    [
        (None, 12),
        ("", 12),
        ("method=base", 6),
        ("method=base,method=full", 12),
        ("method=full, seed=1", 2),
        ("seed=0,seed=2,task=embedded/polarity", 4),
        ("backbone=tiny:bert", 12),
    ],
)
def test_only_chooses(only: str | None, number: int) -> None:
    suite = parse({**SMALL, "methods": ["base", "full"], "tasks": ["embedded/agreement", "embedded/polarity"]})
    assert len(expand(suite, parse_only(only)).specs) == number


def test_a_task_names_the_backbones_that_meet_it() -> None:
    tasks = ["embedded/agreement", {"train": "embedded/polarity", "backbones": "tiny:gpt2"}]
    found = specs(backbones=["tiny:bert", "tiny:gpt2"], methods=["base"], seeds=[0], tasks=tasks)
    assert [(spec.backbone, spec.train) for spec in found] == [
        ("tiny:bert", "embedded/agreement"),
        ("tiny:gpt2", "embedded/agreement"),
        ("tiny:gpt2", "embedded/polarity"),
    ]
    with pytest.raises(UnknownName, match="unknown backbone 'tiny:gpt' in .*, tasks, embedded/polarity"):
        specs(backbones=["tiny:bert"], tasks=[{"train": "embedded/polarity", "backbones": ["tiny:gpt"]}])


def test_the_values_of_a_protocol_are_the_suites_and_what_overrides_change() -> None:
    overrides = [{"when": {"method": "base"}, "options": {"beams": 2}}]
    found = specs(methods=["base", "full"], seeds=[0], options={"classify": {"beams": 4}}, overrides=overrides)
    assert [spec.options for spec in found] == [{"beams": 2}, {"beams": 4}]
    with pytest.raises(UnknownName, match="unknown protocol 'clasify' in .*, options"):
        specs(options={"clasify": {}})


def test_only_chooses_by_budget() -> None:
    suite = parse({**SMALL, "methods": ["base", {"random_mask": {"budget": ["0.1%", "1%", 50]}}], "seeds": [0]})
    chosen = expand(suite, parse_only("budget=0.1%,budget=50")).specs
    assert [str(spec.budget) for spec in chosen] == ["0.1 %", "50"]


def test_a_budget_of_the_suite_is_for_methods_that_have_a_knob_and_no_size() -> None:
    methods = ["head_only", "random_mask", {"lora": {"rank": 2}}, {"lora": {"budget": 900}}]
    found = specs(methods=methods, budget=[40, "1%"], seeds=[0])
    assert [(spec.method, str(spec.budget) if spec.budget else None) for spec in found] == [
        ("head_only", None),
        ("random_mask", "40"),
        ("random_mask", "1 %"),
        ("lora", None),
        ("lora", "900"),
    ]


def test_a_pattern_stands_for_the_tasks_that_are_only_scored() -> None:
    (spec,) = specs(tasks=[{"train": "mmlu/all", "score": ["mmlu/all", "mmlu/*", "mmlu/anatomy"]}], seeds=[0])
    assert spec.score[0] == "mmlu/all"
    assert len(spec.score) == 1 + 57 == len(set(spec.score))
    assert {"mmlu/anatomy", "mmlu/world_religions"} <= set(spec.score)
    (spec,) = specs(tasks=[{"train": "mmlu/all", "score": "mmlu/high_school_*"}], seeds=[0])
    assert len(spec.score) == 14


def test_options_that_no_task_is_met_with_are_refused() -> None:
    assert specs(tasks=["glue/rte", "squad/v1"], options={"span": {"stride": 8}}, seeds=[0])
    with pytest.raises(
        BadSuite, match="options of span change nothing here: its tasks are met through classify; leave"
    ):
        specs(tasks=["glue/rte"], options={"span": {"stride": 8}})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"train": "mmlu/all", "score": ["mmlu/*_chess"]}, r"no task that is only scored is called 'mmlu/\*_chess'"),
        ("instruct/alpaca", "instruct/alpaca has no split to be scored on"),
    ],
)
def test_what_cannot_be_scored_is_refused(task: Any, message: str) -> None:
    with pytest.raises(BadSuite, match=message):
        specs(tasks=[task])


def test_an_override_changes_values_targets_and_policy() -> None:
    found = specs(
        methods=["full", {"lora": {"rank": 4}}, {"qgoft": {"penalty": 0.01}}],
        seeds=[0],
        overrides=[
            {"when": {"method": "qgoft"}, "values": {"penalty": 0.05}},
            {"when": {"method": ["lora", "full"]}, "targets": "query_value", "values": {}},
            {"when": {"method": "lora"}, "values": {"dropout": 0.1}, "policy": "as_published"},
        ],
    )
    assert [(spec.method, spec.values, spec.targets, spec.policy) for spec in found] == [
        ("full", {}, "all", "held_out"),  # its definition says what it touches
        ("lora", {"rank": 4, "dropout": 0.1}, "query_value", "as_published"),
        ("qgoft", {"penalty": 0.05}, "linear", "held_out"),
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"values": {"rank": 4}}, "'lora' has a budget, which sets rank; give one of the two"),
        ({"targets": "qeury_value"}, "unknown targets 'qeury_value'"),
        ({"policy": "helf_out"}, "policy"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(override: dict[str, Any], message: str) -> None:
    overrides = [{"when": {"method": "lora"}, **override}]
    with pytest.raises(BadSuite, match=message):
        specs(methods=[{"lora": {"budget": "5%"}}], overrides=overrides)
