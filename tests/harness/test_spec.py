"""A spec and the run id that names it: the same for equal content for ever, another for any change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.spec import Budget, Sizes, Spec, Training

CONTENT: dict[str, Any] = {
    "backbone": "tiny:bert",
    "method": "lora",
    "values": {"rank": 8},
    "train": "glue/rte",
    "score": ["glue/rte"],
    "protocol": "classify",
}
CHANGES: dict[str, Any] = {
    "backbone": "tiny:gpt2",
    "method": "full",
    "values": {"rank": 4},
    "budget": {"fraction": 0.001},
    "targets": "query_value",
    "train": "glue/cola",
    "score": ["glue/rte", "glue/wnli"],
    "protocol": "prompt",
    "options": {"num_fewshot": 5},
    "policy": "as_published",
    "sizes": {"train": 5},
    "training": {"lr": 0.5},
    "seed": 1,
    "data_seed": 1,
    "threads": 2,
    "purpose": "trial",
}
TRAINING_CHANGES: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 8,
    "accumulation": 2,
    "max_length": 64,
    "optimizer": "sgd",
    "schedule": "cosine",
    "warmup": 0.1,
    "lr": 0.1,
    "weight_decay": 0.1,
    "clip": None,
    "gradient_checkpointing": True,
    "dtype": "bfloat16",
    "deterministic": True,
    "select": "loss",
}


def test_the_run_id_is_pinned() -> None:
    """If this fails, every published record would be read as edited: make a new schema version and an upgrade."""
    assert Spec(**CONTENT).run_id == "14ee86b17e2c4b7f"
    assert Spec(**CONTENT, budget=Budget(fraction=0.001), targets=("*.query",)).run_id == "9560bf4aa67f958d"


def test_equal_content_has_one_run_id() -> None:
    spec = Spec(**CONTENT)
    backwards = Spec(**dict(reversed(CONTENT.items())), seed=0, sizes=Sizes(), training=Training(lr=1e-3))
    assert backwards.run_id == spec.run_id
    assert Spec.model_validate_json(spec.model_dump_json()) == spec
    assert Spec.model_validate(json.loads(spec.canonical())).run_id == spec.run_id


def test_every_field_changes_the_run_id() -> None:
    assert CHANGES.keys() == Spec.model_fields.keys()
    assert TRAINING_CHANGES.keys() == Training.model_fields.keys()
    changed = [Spec(**{**CONTENT, key: value}) for key, value in CHANGES.items()]
    changed += [Spec(**CONTENT, training=Training(**{key: value})) for key, value in TRAINING_CHANGES.items()]
    changed += [Spec(**CONTENT, sizes=Sizes(**{key: 7})) for key in Sizes.model_fields]
    run_ids = {spec.run_id for spec in changed} | {Spec(**CONTENT).run_id}
    assert len(run_ids) == len(CHANGES) + len(TRAINING_CHANGES) + len(Sizes.model_fields) + 1
    assert all(len(run_id) == 16 and int(run_id, 16) >= 0 for run_id in run_ids)


def test_a_cell_is_all_but_seed_and_purpose() -> None:
    spec = Spec(**CONTENT)
    assert spec.cell() == Spec(**CONTENT, seed=3, purpose="trial").cell()
    assert spec.cell().keys() == Spec.model_fields.keys() - {"seed", "purpose"}
    assert spec.cell() != Spec(**CONTENT, data_seed=1).cell()


@pytest.mark.parametrize(
    ("budget", "total", "scalars"),
    [
        (Budget(count=5000), 10, 5000),
        (Budget(fraction=0.001), 22_713_216, 22_713),
        (Budget(fraction=0.001), 1_000, 1),
        (Budget(fraction=0.001), 999, 0),
        (Budget(fraction=1), 12_345, 12_345),
    ],
)
def test_a_budget_is_a_whole_number_of_scalars(budget: Budget, total: int, scalars: int) -> None:
    assert budget.scalars(total) == scalars


@given(st.integers(1, 10**5), st.integers(1, 10**6))
def test_a_share_that_is_a_whole_number_loses_no_scalar_to_rounding(parts: int, count: int) -> None:
    assert Budget(fraction=1 / parts).scalars(parts * count) == count


@given(st.floats(1e-9, 1), st.integers(1, 10**10))
def test_a_share_is_never_exceeded_by_a_scalar(fraction: float, total: int) -> None:
    scalars = Budget(fraction=fraction).scalars(total)
    assert 0 <= scalars <= total
    assert scalars <= fraction * total + 1e-5
    assert scalars + 1 > fraction * total


def test_a_budget_reads_as_it_is_asked_for() -> None:
    assert [str(Budget(count=5000)), str(Budget(fraction=0.001)), str(Budget(fraction=0.0007))] == [
        "5,000",
        "0.1 %",
        "0.07 %",
    ]


@pytest.mark.parametrize(
    "budget",
    [{}, {"count": 1, "fraction": 0.1}, {"count": 0}, {"fraction": 0}, {"fraction": 1.1}, {"fraction": float("nan")}],
)
def test_a_budget_out_of_range_is_refused(budget: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget(**budget)


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": "querry"},
        {"targets": []},
        {"score": []},
        {"seed": -1},
        {"threads": 0},
        {"purpose": "test"},
        {"policy": "published"},
        {"sizes": {"train": 0}},
        {"training": {"lr": 0}},
        {"training": {"lr": float("inf")}},
        {"training": {"lr": float("nan")}},
        {"training": {"weight_decay": float("inf")}},
        {"training": {"warmup": 1}},
        {"training": {"optimizer": "adam"}},
        {"training": {"learning_rate": 1}},
        {"sead": 1},
        {"values": {"rank": object()}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Spec(**{**CONTENT, **wrong})


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Spec(**CONTENT).seed = 1
