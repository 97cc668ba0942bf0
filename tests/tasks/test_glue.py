"""The GLUE cards are the official facts, and the real rows agree with them."""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tasks.glue
from harness.metric import METRICS
from harness.task import Split, TaskCard

CARDS = {card.name: card for card in (TaskCard.model_validate(facts) for facts in tasks.glue.CARDS)}
LABELLED = [(name, card) for name, card in CARDS.items() if not card.hidden_labels]
SPLITS = [(name, split) for name, card in LABELLED for split in card.source.splits if split != "hidden"]
HIDDEN = [(name, card) for name, card in CARDS.items() if "hidden" in card.source.splits]

# Label counts of evaluation splits as published, for those of which no complete copy may be at hand.
PUBLISHED = {
    "glue/mnli": [3479, 3123, 3213],
    "glue/mnli_mismatched": [3463, 3129, 3240],
    "glue/qqp": [25545, 14885],
}


def best_constant(metric: str, actual: np.ndarray) -> float:
    """The best that one answer to every item reaches; 0 where a constant has no score."""
    chances = [METRICS[metric].rows(np.full(actual.shape, value), actual) for value in np.unique(actual)]
    return max(float(np.nan_to_num(METRICS[metric].score(rows))) for rows in chances)


class Mirror:
    """A local copy of hub data sets, with the state of each file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = json.loads((folder / "MANIFEST.json").read_text())["files"]

    def path(self, card: TaskCard, split: Split) -> str:
        return f"{card.source.hub}/{card.source.config}/{card.source.splits[split]}.parquet"

    def is_complete(self, card: TaskCard, split: Split) -> bool:
        return bool(self.files[self.path(card, split)]["state"] == "complete")

    def table(self, card: TaskCard, split: Split) -> pa.Table:
        return pq.read_table(self.folder / self.path(card, split))

    def labels(self, card: TaskCard, split: Split) -> np.ndarray:
        return cast(np.ndarray, self.table(card, split)[card.columns["label"]].to_numpy().astype(np.float64))


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return Mirror(Path(os.environ["PARETUNE_MIRROR"]))


def test_the_family_is_glue_with_its_mismatched_half_and_diagnostics() -> None:
    names = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "mnli_mismatched", "qnli", "rte", "wnli", "ax")
    assert list(CARDS) == [f"glue/{name}" for name in names]


def test_cards_are_a_literal_that_is_readable_without_importing() -> None:
    tree = ast.parse(Path(tasks.glue.__file__).read_text(encoding="utf-8"))
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(assigned["CARDS"]) == tasks.glue.CARDS


def test_all_cards_pin_one_revision_of_one_data_set() -> None:
    assert {(card.source.hub, card.source.revision) for card in CARDS.values()} == {
        ("nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c")
    }


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_agrees_with_itself(card: TaskCard) -> None:
    assert card.sizes.keys() == card.source.splits.keys()
    assert {card.metric.name, *card.also} <= METRICS.keys()
    assert card.metric.name not in card.also
    assert 0 <= card.metric.chance < card.metric.ceiling == 1
    assert len(set(card.labels)) == len(card.labels) != 1


@pytest.mark.parametrize("name", ["glue/mnli_mismatched", "glue/ax"])
def test_what_cannot_be_trained_on_is_scored_with_mnli(name: str) -> None:
    card, trained = CARDS[name], CARDS["glue/mnli"]
    assert card.score_only_with == trained.name
    assert "train" not in card.source.splits
    assert (card.labels, card.columns) == (trained.labels, trained.columns)
    assert set(card.protocols) <= set(trained.protocols)


@pytest.mark.parametrize("name", PUBLISHED)
def test_chance_follows_from_the_published_counts(name: str) -> None:
    card, counts = CARDS[name], PUBLISHED[name]
    assert sum(counts) == card.sizes["evaluation"]
    actual = np.repeat(np.arange(len(counts), dtype=np.float64), counts)
    assert card.metric.chance == pytest.approx(best_constant(card.metric.name, actual), abs=5e-5)


@pytest.mark.data
@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_real_rows_have_the_columns_and_labels_of_the_card(mirror: Mirror, name: str, split: Split) -> None:
    card = CARDS[name]
    table = mirror.table(card, split)
    assert set(card.columns.values()) <= set(table.column_names)
    assert all(table[column].null_count == 0 for column in card.columns.values())
    labels = mirror.labels(card, split)
    if card.label_range:
        assert (labels.min(), labels.max()) == card.label_range
    else:
        assert sorted(Counter(labels)) == list(range(len(card.labels)))


@pytest.mark.data
@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_class_names_of_the_real_rows_are_those_of_the_card(mirror: Mirror, name: str, split: Split) -> None:
    card = CARDS[name]
    features = json.loads(mirror.table(card, split).schema.metadata[b"huggingface"])["info"]["features"]
    assert tuple(features[card.columns["label"]].get("names", ())) == card.labels


def test_every_task_has_hidden_rows_of_the_test_server() -> None:
    assert len(HIDDEN) == len(CARDS)
    targets = {str(one["task"]): one for one in tasks.glue.SUBMISSION}
    assert targets.keys() == CARDS.keys()
    for name, card in HIDDEN:
        words = targets[name].get("labels", [])
        assert isinstance(words, list)
        assert len(words) == len(card.labels)
        assert words in ([0, 1], list(card.labels), []), "in the order of the classes"


def test_the_average_counts_nine_tasks_and_mnli_once() -> None:
    whole, without = (average["groups"] for average in tasks.glue.AVERAGES)
    assert isinstance(whole, dict)
    assert len(whole) == 9
    assert {task for group in whole.values() for task in group} == CARDS.keys() - {"glue/ax"}
    assert without == {name: group for name, group in whole.items() if name != "WNLI"}


@pytest.mark.data
def test_hidden_rows_are_numbered_and_of_the_stated_count(mirror: Mirror) -> None:
    present = [(name, card) for name, card in HIDDEN if mirror.path(card, "hidden") in mirror.files]
    for name, card in present:
        table = mirror.table(card, "hidden")
        assert table.num_rows == card.sizes["hidden"], name
        assert table["idx"].to_pylist() == list(range(table.num_rows)), name
    assert len(present) >= 5


@pytest.mark.data
def test_sizes_are_those_of_complete_splits(mirror: Mirror) -> None:
    complete = [(name, split) for name, split in SPLITS if mirror.is_complete(CARDS[name], split)]
    sizes = {(name, split): mirror.table(CARDS[name], split).num_rows for name, split in complete}
    assert sizes == {(name, split): CARDS[name].sizes[split] for name, split in complete}
    assert len(complete) >= 13


@pytest.mark.data
def test_chance_is_the_best_constant_on_complete_evaluation_rows(mirror: Mirror) -> None:
    complete = [card for card in CARDS.values() if not card.hidden_labels and mirror.is_complete(card, "evaluation")]
    for card in complete:
        expected = best_constant(card.metric.name, mirror.labels(card, "evaluation"))
        assert card.metric.chance == pytest.approx(expected, abs=5e-5), card.name
    assert len(complete) >= 7
