"""The card of CIFAR-10 is the official facts, and its suite has the FISH paper's values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.matrix import expand
from harness.suite import read
from harness.task import TaskCard
from tasks.cifar import CARDS
from tasks.protocols.image import ImageOptions

CARD = TaskCard.model_validate(CARDS[0])


def test_the_card_is_the_official_facts() -> None:
    assert CARD.sizes == {"train": 50_000, "evaluation": 10_000}
    assert len(set(CARD.labels)) == 10
    assert CARD.metric.chance == 1 / 10
    assert ImageOptions.model_validate(CARD.options) == ImageOptions(crop=4, flip=True, cutout=8)


def test_the_suite_has_the_paper_s_values_and_each_mask_its_best_rate() -> None:
    specs = expand(read("fish_cifar10")).specs
    training = specs[0].training
    assert (training.epochs, training.batch_size, training.weight_decay, training.clip) == (100, 512, 5e-4, None)
    assert (training.optimizer, training.schedule, training.warmup) == ("sgd", "linear", 5 / 100)
    rates = {
        (spec.method, bool(spec.values.get("reselect")), str(spec.budget)): spec.training.lr
        for spec in specs
        if spec.values.get("choose") != "random"
    }
    # The best of each row of the authors' logs.
    assert rates == {
        ("full", False, "None"): 0.4,
        ("sparse_update", False, "0.5 %"): 0.02,
        ("sparse_update", False, "2 %"): 0.02,
        ("sparse_update", False, "10 %"): 0.04,
        ("sparse_update", True, "0.5 %"): 0.2,
        ("sparse_update", True, "2 %"): 0.4,
        ("sparse_update", True, "10 %"): 0.4,
    }
    assert {spec.targets for spec in specs} == {"all"}
    assert {spec.backbone for spec in specs} == {"scratch:resnet34-cifar"}


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "test"])
def test_real_rows_have_the_columns_and_the_class_names_of_the_card(split: str) -> None:
    path = Path(os.environ["PARETUNE_MIRROR"], "uoft-cs", "cifar10", "plain_text", f"{split}.parquet")
    table = pq.read_table(path)
    assert set(CARD.columns.values()) <= set(table.column_names)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert tuple(features["label"]["names"]) == CARD.labels
    assert sorted(set(table["label"].to_pylist())) == list(range(10))
