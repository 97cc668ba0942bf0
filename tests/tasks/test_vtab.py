"""VTAB-1K is 19 tasks in three groups, whose rows come from parquet or from the community's folders alike."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.matrix import expand
from harness.metric import ACCURACY
from harness.spec import Sizes
from harness.splits import Part, split
from harness.suite import read
from tasks.vtab import AVERAGES
from tests.tasks.pictures import encoded, noise, table

MIRRORED = ("caltech101", "cifar100", "resisc45")


def test_the_groups_hold_every_task_once() -> None:
    (average,) = registry.literals(registry.tasks()["vtab/dtd"].path, "AVERAGES")
    assert average == AVERAGES
    groups = average["groups"]
    assert isinstance(groups, dict)
    assert {name: len(members) for name, members in groups.items()} == {  # type: ignore[arg-type]
        "natural": 7,
        "specialized": 4,
        "structured": 8,
    }
    members = [member for group in groups.values() for member in group]  # type: ignore[union-attr]
    listed = [name for name in registry.tasks() if name.startswith("vtab/")]
    assert sorted(members) == sorted(listed)  # type: ignore[type-var]
    assert len(set(members)) == 19  # type: ignore[arg-type]


def community(mirror: Path, folder: str, splits: dict[str, list[int]]) -> None:
    """Write a task as the field passes it round: images in a folder of each list, and the lists."""
    for name, labels in splits.items():
        lines = []
        for number, label in enumerate(labels):
            path = Path("images", name, f"{number:06}.jpg")
            (mirror / "vtab-1k" / folder / path.parent).mkdir(parents=True, exist_ok=True)
            (mirror / "vtab-1k" / folder / path).write_bytes(encoded(noise(8, 8, len(lines)), "JPEG"))
            lines.append(f"{path.as_posix()} {label}\n")
        (mirror / "vtab-1k" / folder / f"{name}.txt").write_text("".join(lines))


@pytest.mark.parametrize(
    ("task", "folder"), [("kitti", "kitti"), ("cifar100", "cifar"), ("clevr_distance", "clevr_dist")]
)
def test_rows_come_from_the_community_s_folders(tmp_path: Path, task: str, folder: str) -> None:
    community(tmp_path, folder, {"train800": [0, 1, 2], "val200": [3], "test": [1, 1]})
    loaded, source = registry.load_task(f"vtab/{task}"), DataSource.of(tmp_path)
    for ours, labels in (("train", [0, 1, 2]), ("validation", [3]), ("evaluation", [1, 1])):
        raw = source.read(loaded, ours)  # type: ignore[arg-type]
        assert raw.table["label"].to_pylist() == labels
        assert (raw.state, raw.digest) == ("unknown", source.digest(loaded, ours))  # type: ignore[arg-type]
    trial, final = (
        split(loaded, [loaded], source, policy="final_on_all", sizes=Sizes(), data_seed=0, sealed=sealed)
        for sealed in (True, False)
    )
    assert (len(trial.train.chosen()), trial.validation is not None) == (3, True)
    assert (final.train.values("label"), final.validation) == ([0, 1, 2, 3], None)


def test_parquet_wins_over_a_folder_and_the_manifest_states_its_state(tmp_path: Path) -> None:
    community(tmp_path, "kitti", {"train800": [0], "val200": [0], "test": [0]})
    rows = table([{"bytes": encoded(noise(4, 4)), "path": "x.png"}], [2])
    pq.write_table(rows, tmp_path / "vtab-1k" / "kitti" / "train.parquet")
    states = {"files": {"vtab-1k/kitti/test.txt": {"state": "complete"}}}
    (tmp_path / "MANIFEST.json").write_text(json.dumps(states))
    task, source = registry.load_task("vtab/kitti"), DataSource.of(tmp_path)
    assert source.read(task, "train").table["label"].to_pylist() == [2]
    assert source.read(task, "validation").table["label"].to_pylist() == [0]
    assert source.state(task, "evaluation") == "complete"


def test_a_list_that_names_a_missing_image_is_refused(tmp_path: Path) -> None:
    community(tmp_path, "kitti", {"train800": [0, 1], "val200": [0], "test": [0]})
    (tmp_path / "vtab-1k/kitti/images/train800/000001.jpg").unlink()
    with pytest.raises(MissingPrerequisite, match=r"1 images that are not there, such as images/train800/000001\.jpg"):
        DataSource.of(tmp_path).read(registry.load_task("vtab/kitti"), "train")


def test_without_rows_the_message_says_how_to_get_them(tmp_path: Path) -> None:
    task = registry.load_task("vtab/svhn")
    with pytest.raises(MissingPrerequisite, match="no dataset of the hub, and there is no mirror: put vtab-1k/<task>"):
        DataSource().check(task, "train")
    assert DataSource().reach(task) == DataSource(tmp_path).reach(task) == "missing"
    with pytest.raises(MissingPrerequisite, match=r"no vtab-1k/svhn/train.parquet or vtab-1k/svhn/train800.txt, which"):
        DataSource(tmp_path).check(task, "train")


@pytest.mark.data
@pytest.mark.parametrize("name", MIRRORED)
def test_real_rows_have_the_labels_of_the_card_and_perfect_answers_reach_the_ceiling(name: str) -> None:
    task = registry.load_task(f"vtab/{name}")
    source = DataSource(Path(os.environ["PARETUNE_MIRROR"]))
    for ours in task.card.source.splits:
        labels = np.array(Part(task, ours, source).fields(label=int)["label"])
        assert 0 <= labels.min() <= labels.max() < len(task.card.labels)
        assert len(labels) <= task.card.sizes[ours]
        assert ACCURACY.score(ACCURACY.rows(labels, labels)) == task.card.metric.ceiling


def test_the_suite_has_the_paper_s_values() -> None:
    specs = expand(read("vtab")).specs
    assert {spec.train for spec in specs} == {name for name in registry.tasks() if name.startswith("vtab/")}
    assert {spec.policy for spec in specs} == {"final_on_all"}
    assert {spec.backbone for spec in specs} == {"google/vit-base-patch16-224-in21k"}
    values = {(s.training.epochs, s.training.batch_size, s.training.weight_decay, s.targets) for s in specs}
    assert values == {(100, 64, 1e-4, targets) for targets in ("query_value", "all", "none", "linear")}
    assert {spec.method for spec in specs if spec.targets == "linear"} == {"adapter"}
    rates = {spec.method: spec.training.lr for spec in specs}
    assert rates["lora"] == rates["goft"] == rates["qgoft"] == rates["head_only"] == 1e-3
