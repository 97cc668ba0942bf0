"""lm/NAME is a card of an lm-eval task, read from its YAML and from nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UnknownName
from harness.requests import ask
from harness.splits import Part
from harness.task import TaskCard
from tests.tasks.lm_tasks import TASKS, rows, write


def card(name: str) -> TaskCard:
    return registry.load_task(name).card


def test_a_stock_task_becomes_a_card() -> None:
    boolq = card("lm/boolq")
    assert (boolq.source.hub, boolq.source.config, boolq.version) == ("aps/super_glue", "boolq", 200)
    assert boolq.source.splits == {"train": "train", "evaluation": "validation", "fewshot": "train"}
    assert boolq.metric.model_dump() == {
        "name": "mean.acc",
        "higher_is_better": True,
        "unit": "%",
        "chance": 0.5,
        "ceiling": 1.0,
    }
    assert boolq.options == {"lm_eval": "boolq"}
    assert boolq.protocols == ("prompt",)


def test_a_test_split_is_what_is_reported_and_validation_selects() -> None:
    arc = card("lm/arc_easy")
    assert arc.source.splits["evaluation"] == "test"
    assert arc.source.splits["validation"] == "validation"
    assert [arc.metric.name, *arc.also] == ["mean.acc", "mean.acc_norm"]


def test_a_task_without_a_training_split_scores_or_is_trained_on_a_named_one() -> None:
    assert card("lm/mmlu_anatomy").source.splits == {"evaluation": "test", "fewshot": "dev"}
    trained = card("lm/mmlu_anatomy@validation")
    assert trained.source.splits == {"train": "validation", "evaluation": "test", "fewshot": "dev"}
    assert trained.metric.chance == 0.25
    with pytest.raises(MissingPrerequisite, match="scored on its split 'test'; train it on another"):
        card("lm/mmlu_anatomy@test")


def test_metrics_that_are_no_means_say_how_they_are_put_together() -> None:
    assert card("lm/cola").metric.name == "lm.mcc"
    assert [card("lm/cb").metric.name, *card("lm/cb").also] == ["mean.acc", "lm.f1:macro_f1"]
    assert card("lm/wikitext").metric.name == "lm.word_perplexity"
    assert not card("lm/wikitext").metric.higher_is_better


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("lm/mmlu", "group"),
        ("lm/super-glue-lm-eval-v1", "tag"),
        ("lm/squadv2", "class of Python code"),
        ("lm/absent.yaml", "not there"),
    ],
)
def test_what_cannot_be_met_is_refused_with_the_reason(name: str, match: str) -> None:
    with pytest.raises(MissingPrerequisite, match=match):
        card(name)


def test_a_name_that_lm_eval_does_not_have_is_offered_the_nearest() -> None:
    with pytest.raises(UnknownName, match=re.escape("did you mean boolq")):
        card("lm/bolq")


def test_a_users_file_is_a_task(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    own = card(toys.name("choice"))
    assert own.source.hub == "toys/rows"
    assert [own.metric.name, *own.also] == ["mean.acc", "mean.acc_norm", "lm.brier_score"]
    assert own.metric.chance == pytest.approx(1 / 3)


def test_a_chance_level_that_nothing_tells_is_null(tmp_path: Path) -> None:
    toys = write(tmp_path, {"target": TASKS["target"]})
    assert card(toys.name("target")).metric.chance is None


def test_rows_of_a_users_task_may_be_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"train": "a.jsonl", "validation": "b.csv"}
    own = TASKS["target"] | {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    toys = write(tmp_path, {"target": own})
    with pytest.raises(MissingPrerequisite, match="'b.csv' for the split 'validation', which is no file here"):
        card(toys.name("target"))
    for name, start in (("a.jsonl", 0), ("b.csv", 50)):
        lines = pa.table(rows(6, start)).to_pylist()
        text = (
            "\n".join(map(json.dumps, lines))
            if name.endswith("jsonl")
            else "\n".join(["thing,size,colour", *(f"{one['thing']},{one['size']},{one['colour']}" for one in lines)])
        )
        (tmp_path / name).write_text(text + "\n")
    task = registry.load_task(toys.name("target"))
    assert task.card.source.hub is None
    read = DataSource().read(task, "evaluation")
    assert read.table.to_pylist() == pa.table(rows(6, 50)).to_pylist()
    assert read.digest == hashlib.sha256((tmp_path / "b.csv").read_bytes()).hexdigest()
    assert DataSource().read(task, "train").table.num_rows == 6
    asked = ask(Part(task, "evaluation", DataSource()), f"path:{tmp_path / 'target.yaml'}")
    assert asked.items[0].instances[0].args == ("Thing: thing 50\nSize:", " very large")
