"""Image cells from end to end: every method on a network that sees, augmentation, broken pictures, real rows."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForImageClassification

from harness import registry
from harness.backbone import locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UserError
from harness.method import STATISTICS
from harness.protocol import meet
from harness.record import Record
from harness.single import run_spec
from harness.spec import Spec
from runners.execute import Outcome, execute
from runners.export import export
from runners.prepare import splits
from runners.score import Evaluator
from runners.warm import Warm
from runners.worker import run_one
from tests.methods.attaching import targets_of
from tests.runners.faulty import printing_as_a_worker
from tests.runners.specs import fresh, run
from tests.tasks import small_vit
from tests.tasks.pictures import encoded, noise, table

RESNET = ("base", "full", "head_only", "bitfit", "random_mask", "fish", "magnitude_mask")
VIT = ("full", "lora", "goft", "qgoft", "pst", "adapter", "random_mask", "bitfit")


def asked(method: str, backbone: str, task: str = "embedded/shapes", **values: Any) -> Spec:
    training = {"epochs": 1, "batch_size": 16, "lr": 1e-2, **values.pop("training", {})}
    facts: dict[str, Any] = {
        "backbone": backbone,
        "method": method,
        "budget": {"fraction": 0.1} if "budget" in registry.methods()[method].card else None,
        "targets": targets_of(method),
        "train": task,
        "score": (task,),
        "protocol": "image",
        "sizes": {"train": 48, "validation": 16, "test": 24},
    }
    return Spec.model_validate({**facts, **values, "training": training})


@pytest.fixture(scope="module")
def warm() -> Warm:
    return fresh()


CELLS = [("tiny:resnet", name) for name in RESNET] + [("scratch:resnet10@4", name) for name in RESNET]
CELLS += [("tiny:vit", name) for name in VIT]


@pytest.mark.parametrize(("backbone", "method"), CELLS)
def test_a_method_tunes_a_network_that_sees_and_leaves_it_as_it_was(warm: Warm, backbone: str, method: str) -> None:
    targets = targets_of(method) if backbone == "tiny:vit" else "all"
    outcome = run(asked(method, backbone, targets=targets), warm)
    assert outcome.reusable
    assert outcome.scores[0].num_items == 24
    assert 0 <= (outcome.scores[0].metrics["accuracy"] or 0) <= 1
    assert outcome.items is not None
    assert set(outcome.items["prediction"].to_pylist()) <= {0.0, 1.0, 2.0, 3.0}
    moved = [name for name in outcome.state or {} if name.startswith(STATISTICS)]
    assert bool(moved) == (backbone.startswith("scratch") and method != "base")


def cifar(folder: Path, broken: bool = False) -> Path:
    """Write a mirror of CIFAR-10 with a few pictures of noise."""
    place = folder / "uoft-cs" / "cifar10" / "plain_text"
    place.mkdir(parents=True)
    for number, (split, size) in enumerate((("train", 60), ("test", 24))):
        images = [{"bytes": encoded(noise(32, 32, 100 * number + row)), "path": f"{row}.png"} for row in range(size)]
        if broken and split == "test":
            images[7]["bytes"] = b"no picture"
        rows = table(images, [row % 10 for row in range(size)])
        pq.write_table(rows.rename_columns(["img", "label"]), place / f"{split}.parquet")
    return folder


def training(tmp_path: Path, seed: int = 0, **options: Any) -> dict[str, torch.Tensor]:
    values = {"optimizer": "sgd", "weight_decay": 5e-4, "warmup": 0.05, "clip": None, "lr": 0.05, "epochs": 2}
    spec = asked("full", "scratch:resnet10@4", "cifar/cifar10", seed=seed, training=values, options=options)
    outcome = Outcome()
    execute(spec, Warm(DataSource(tmp_path), "cpu"), outcome, "all")
    assert outcome.reusable
    assert outcome.state is not None
    return outcome.state


def test_augmented_training_is_the_same_every_time_and_differs_by_seed_and_options(tmp_path: Path) -> None:
    cifar(tmp_path)
    first, again, other = training(tmp_path), training(tmp_path), training(tmp_path, crop=0, flip=False, cutout=0)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    weight = "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"
    assert not torch.equal(first[weight], other[weight])
    assert not torch.equal(first[weight], training(tmp_path, seed=1)[weight])


def test_a_broken_test_picture_is_named_before_any_training(tmp_path: Path) -> None:
    outcome = Outcome()
    spec = asked("full", "scratch:resnet10@4", "cifar/cifar10")
    with pytest.raises(MissingPrerequisite, match=r"cifar/cifar10 \(evaluation\) has 1 images .*evaluation:7 7\.png"):
        execute(spec, Warm(DataSource(cifar(tmp_path, broken=True)), "cpu"), outcome)
    assert outcome.fitted is None


def test_equal_pictures_in_train_and_test_are_counted_whatever_their_names(tmp_path: Path) -> None:
    place = cifar(tmp_path) / "uoft-cs/cifar10/plain_text"
    rows = pq.read_table(place / "train.parquet").slice(0, 3).to_pydict()
    for number, image in enumerate(rows["img"]):
        image["path"] = f"copy{number}.png"
    pq.write_table(table(rows["img"], rows["label"]).rename_columns(["img", "label"]), place / "test.parquet")
    outcome = Outcome()
    sizes = {"train": 54, "validation": 6, "test": 3}
    execute(asked("base", "tiny:vit", "cifar/cifar10", sizes=sizes), Warm(DataSource(tmp_path), "cpu"), outcome)
    assert any("of 3 test rows of cifar/cifar10 stand in the training rows too" in note for note in outcome.notes)


def kept(spec: Spec, out: Path) -> Record:
    """Run a spec and keep its trained part, whatever its size."""
    out.mkdir()
    with printing_as_a_worker():
        record, _, _ = run_one(spec, out, fresh(), None, "all", lambda event: None)
    assert record.status == "ok", record.error
    return record


@pytest.mark.parametrize(("backbone", "method"), [("tiny:vit", "lora"), ("scratch:resnet10@4", "full")])
def test_an_exported_network_opens_in_transformers_and_is_a_backbone_again(
    tmp_path: Path, backbone: str, method: str
) -> None:
    spec = asked(method, backbone, targets="all" if method == "full" else "linear", training={"epochs": 2})
    record = kept(spec, tmp_path / "runs")
    written = export(record.run_id, [tmp_path / "runs"], tmp_path / "model")
    model, report = AutoModelForImageClassification.from_pretrained(written, output_loading_info=True)
    assert not any(report.values()), report
    assert list(model.config.id2label.values()) == ["inward", "clockwise", "outward", "anticlockwise"]

    task = registry.load_task("embedded/shapes")
    again = meet("image", task.card).load(locate(f"path:{written}"))
    part = splits(spec, DataSource()).tests["embedded/shapes"]
    examples = meet("image", task.card).encode(part, again.tokenizer, 128)
    evaluator = Evaluator(again.tokenizer, torch.device("cpu"), torch.float32)
    predicted = evaluator.predict(model.eval(), meet("image", task.card), examples).values
    accuracy = sum(map(operator.eq, predicted, examples.references)) / len(examples)
    assert accuracy == record.scores[0].metrics["accuracy"]


def test_a_stem_that_no_configuration_states_is_not_exported(tmp_path: Path) -> None:
    spec = asked("full", "scratch:resnet34-cifar@2", targets="all")
    record = kept(spec, tmp_path / "runs")
    with pytest.raises(UserError, match="whose stem is none that transformers' configuration can state"):
        export(record.run_id, [tmp_path / "runs"], tmp_path / "model")


def test_a_trained_small_vit_is_a_pretrained_backbone(tmp_path: Path) -> None:
    accuracy = small_vit.train(tmp_path / "vit", count=128, epochs=1)
    assert 0 <= accuracy <= 1
    outcome = run(asked("lora", f"path:{tmp_path / 'vit'}"))
    assert outcome.reusable
    assert outcome.counts is not None
    embedding = (4 * 4 * 3 + 1) * 64 + 64 + (1 + 64) * 64  # patches, the class token, positions
    block = 4 * (64 + 1) * 64 + (64 + 1) * 256 + (256 + 1) * 64 + 2 * 2 * 64
    assert outcome.counts.total == embedding + 4 * block + 2 * 64  # with the last norm; no pooler, no classifier


@pytest.mark.data
@pytest.mark.parametrize("task", ["vtab/caltech101", "vtab/cifar100", "vtab/resisc45", "cifar/cifar10"])
def test_a_small_cell_on_real_rows(tmp_path: Path, task: str) -> None:
    policy = "final_on_all" if task.startswith("vtab") else "held_out"
    record, _ = run_spec(asked("random_mask", "tiny:vit", task, policy=policy), tmp_path, device="cpu")
    assert record.status == "ok", record.error
    assert record.scores[0].num_items == 24
    assert (record.validation == ()) == (policy == "final_on_all")
    assert set(record.digests.data_state.values()) == {"subset"}
