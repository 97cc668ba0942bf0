"""A trained part is two files that load onto a fresh backbone with equal outputs, and onto nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from harness.backbone import locate
from harness.data import DataSource
from harness.errors import UserError
from harness.method import BUFFER
from harness.record import TRAINED_FILE
from harness.spec import Spec
from runners.attempt import TRAINED_FACTS_FILE
from runners.checkpoint import BadCheckpoint, Checkpoint, Facts, TensorFacts, check, describe, load, put, save
from runners.execute import Outcome
from runners.prepare import attach, protocol_of, splits
from runners.score import Evaluator, score
from tests.runners.specs import METHODS, fresh, generated_once, run, spec

rows = generated_once
FACTS = Facts(
    run_id="0123456789abcdef",
    method="lora",
    method_version=1,
    config={},
    backbone="tiny:bert",
    weights="tiny:bert@1",
    targets="linear",
    budget=None,
    total=100,
    total_steps=3,
    trained=1,
    head=0,
    tensors={},
)


def saved(folder: Path, method: str = "lora", backbone: str = "tiny:bert", **values: Any) -> tuple[Spec, Outcome]:
    """Run a spec and write the trained part that it kept."""
    asked = spec(method, backbone, **values)
    outcome = run(asked)
    assert outcome.facts is not None and outcome.state is not None  # noqa: PT018  # for the type checker
    folder.mkdir(exist_ok=True)
    save(folder, outcome.facts, outcome.state)
    return asked, outcome


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, Path]:
    folder = tmp_path_factory.mktemp("part")
    return saved(folder, "random_mask")[0], folder


@pytest.mark.parametrize("method", [name for name in METHODS if name != "base"])
def test_a_trained_part_loads_onto_a_fresh_backbone_with_equal_outputs(tmp_path: Path, method: str) -> None:
    asked, outcome = saved(tmp_path, method)
    found, warm = load(tmp_path), fresh()
    check(found, asked, locate(asked.backbone))
    protocol = protocol_of(asked)
    _, backbone = warm.backbone(asked, protocol)
    attached, plan = attach(asked, backbone, 48)
    put(found, attached)
    attached.finalize(backbone.model)
    assert (plan.total_steps, plan.total) == (found.facts.total_steps, found.facts.total)
    assert found.state.keys() == (outcome.state or {}).keys()
    for name, tensor in (outcome.state or {}).items():
        assert found.state[name].dtype == tensor.dtype, name
        assert torch.equal(found.state[name], tensor), name
    examples = warm.encoded(splits(asked, DataSource()).tests[asked.score[0]], protocol, backbone, asked)
    evaluator = Evaluator(backbone.tokenizer, torch.device("cpu"), torch.float32)
    block, items, _ = score(evaluator, backbone.model, protocol, examples)
    assert block == outcome.scores[0]
    assert outcome.items is not None
    assert items.to_pydict() == outcome.items.to_pydict()


def test_the_facts_say_what_every_tensor_is(part: tuple[Spec, Path]) -> None:
    asked, folder = part
    facts = load(folder).facts
    assert (facts.run_id, facts.method, facts.method_version) == (asked.run_id, "random_mask", 1)
    assert (facts.backbone, facts.weights) == ("tiny:bert", "tiny:bert@1")
    assert (facts.targets, facts.budget, facts.total, facts.total_steps) == ("linear", asked.budget, 31_744, 3)
    assert facts.config["count"] == facts.trained == 3174
    assert facts.head == 66
    kinds = {name: fact.kind for name, fact in facts.tensors.items()}
    assert kinds["classifier.weight"] == "head"
    assert {kind for name, kind in kinds.items() if name.startswith(BUFFER)} == {"buffer"}
    assert {kind for name, kind in kinds.items() if name.endswith("@values")} == {"trained"}


def test_mask_indices_take_four_bytes_each_and_come_back_as_int64(part: tuple[Spec, Path]) -> None:
    _, folder = part
    stored, found = load_file(folder / TRAINED_FILE), load(folder)
    indices = [name for name in stored if name.endswith("@indices")]
    assert {stored[name].dtype for name in indices} == {torch.int32}
    assert {found.state[name].dtype for name in indices} == {torch.int64}


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**31) - 1, 2**31), max_size=5),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool]),
)
def test_tensors_of_any_type_and_value_come_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, integers: list[int], dtype: torch.dtype
) -> None:
    folder = tmp_path_factory.mktemp("any")
    state = {
        "a": torch.tensor(integers, dtype=torch.int64),
        "b": torch.tensor(integers, dtype=torch.int64).to(dtype),
        "c": torch.ones((), dtype=dtype),
        "d": torch.arange(6, dtype=torch.float32).view(2, 3).t(),
    }
    tensors = {
        name: TensorFacts(kind="trained", dtype=f"{t.dtype}".removeprefix("torch.")) for name, t in state.items()
    }
    save(folder, FACTS.model_copy(update={"tensors": tensors}), state)
    found = load(folder)
    for name, tensor in state.items():
        assert found.state[name].dtype == tensor.dtype
        assert torch.equal(found.state[name], tensor)
    assert {path.name for path in folder.iterdir()} == {TRAINED_FILE, TRAINED_FACTS_FILE}


@pytest.mark.parametrize(
    ("changes", "reference", "says"),
    [
        ({"method": "full", "budget": None}, "tiny:bert", r"is of method 'random_mask'; 'full' came"),
        ({}, "tiny:roberta", r"is of backbone 'tiny:bert' \(weights tiny:bert@1\); 'tiny:roberta' \(tiny:robert"),
        ({"targets": "query_value"}, "tiny:bert", "is of targets 'linear'; 'query_value' came"),
    ],
)
def test_another_method_backbone_or_targets_are_refused_by_name(
    part: tuple[Spec, Path], changes: dict[str, Any], reference: str, says: str
) -> None:
    asked, folder = part
    found = load(folder)
    check(found, asked, locate("tiny:bert"))
    with pytest.raises(BadCheckpoint, match=says) as caught:
        check(found, asked.model_copy(update=changes), locate(reference))
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, ValueError)


def test_another_version_of_the_method_is_refused(part: tuple[Spec, Path]) -> None:
    asked, folder = part
    older = load(folder)
    older = Checkpoint(older.facts.model_copy(update={"method_version": 0}), older.state)
    with pytest.raises(BadCheckpoint, match="of version 0 of method 'random_mask'; version 1 is installed"):
        check(older, asked, locate("tiny:bert"))


def test_other_values_of_the_method_are_refused_by_name(part: tuple[Spec, Path]) -> None:
    asked, folder = part
    smaller = asked.model_copy(update={"budget": None, "values": {"count": 7}})
    _, backbone = fresh().backbone(smaller, protocol_of(smaller))
    attached, _ = attach(smaller, backbone, 48)
    with pytest.raises(BadCheckpoint, match="with count 3174; count 7 came"):
        put(load(folder), attached)


def test_tensors_of_other_shapes_are_refused(part: tuple[Spec, Path]) -> None:
    asked, folder = part
    _, backbone = fresh().backbone(asked, protocol_of(asked))
    attached, _ = attach(asked, backbone, 48)
    found = load(folder)
    wrong = {**found.state, "classifier.weight": torch.zeros(3, 32)}
    with pytest.raises(BadCheckpoint, match="differs in classifier.weight"):
        put(Checkpoint(found.facts, wrong), attached)


def test_a_part_of_an_earlier_version_says_what_to_do(part: tuple[Spec, Path], tmp_path: Path) -> None:
    (tmp_path / TRAINED_FILE).write_bytes((part[1] / TRAINED_FILE).read_bytes())
    with pytest.raises(BadCheckpoint, match="earlier version of paretune.* run it again"):
        load(tmp_path)
    (tmp_path / TRAINED_FILE).unlink()
    with pytest.raises(BadCheckpoint, match="holds no trained part; keep one with `keep: all`"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not say what the trained part is of"),
        ("[]", "does not say"),
        ('{"schema_version": 1, "run_', "does not say"),
        ('{"schema_version": 1}', "Field required"),
        ('{"schema_version": 2}', "schema version 2 is unknown; this version reads 1"),
        ("\xff", "does not say"),
    ],
)
def test_facts_that_are_damaged_or_foreign_are_refused(
    part: tuple[Spec, Path], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / TRAINED_FILE).write_bytes((part[1] / TRAINED_FILE).read_bytes())
    (tmp_path / TRAINED_FACTS_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(BadCheckpoint, match=says):
        load(tmp_path)


def test_facts_with_a_type_that_is_none_are_refused(part: tuple[Spec, Path], tmp_path: Path) -> None:
    content = json.loads((part[1] / TRAINED_FACTS_FILE).read_text(encoding="utf-8"))
    content["tensors"]["classifier.bias"]["dtype"] = "load"
    (tmp_path / TRAINED_FACTS_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadCheckpoint, match="classifier.bias is of type 'load', which is none"):
        load(tmp_path)


def test_tensors_that_are_damaged_cut_or_of_another_run_are_refused(part: tuple[Spec, Path], tmp_path: Path) -> None:
    (tmp_path / TRAINED_FACTS_FILE).write_bytes((part[1] / TRAINED_FACTS_FILE).read_bytes())
    with pytest.raises(BadCheckpoint, match="no trained part can be read"):
        load(tmp_path)
    whole = (part[1] / TRAINED_FILE).read_bytes()
    for damaged in (whole[:-1], whole[:4], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        (tmp_path / TRAINED_FILE).write_bytes(damaged)
        with pytest.raises(BadCheckpoint, match="is not the file that trained.json beside it tells of"):
            load(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / TRAINED_FILE)
    with pytest.raises(BadCheckpoint, match="is not the file"):
        load(tmp_path)


def test_facts_name_neither_folders_of_this_machine_nor_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "Kq7vXw2LmZ94Tt0B")
    asked = spec("bitfit")
    warm = fresh()
    _, backbone = warm.backbone(asked, protocol_of(asked))
    method, plan = attach(asked, backbone, 48)
    elsewhere = asked.model_copy(update={"backbone": f"path:{tmp_path}/Kq7vXw2LmZ94Tt0B/model"})
    facts = describe(elsewhere, method, plan, "digest", method.state())
    save(tmp_path, facts, method.state())
    for path in (tmp_path / TRAINED_FILE, tmp_path / TRAINED_FACTS_FILE):
        assert str(tmp_path).encode() not in path.read_bytes()
        assert b"Kq7vXw2LmZ94Tt0B" not in path.read_bytes()
    assert facts.backbone.startswith("path:~")
    assert facts.backbone.endswith("/model")
