"""The SuperGLUE cards are the official facts, and rows in the source's own format are read as they say."""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tasks.superglue
from harness import metric, registry
from harness.backbone import load_tokenizer, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.protocol import Examples, meet
from harness.spec import Sizes
from harness.splits import Part, split
from harness.task import Split, TaskCard

CARDS = {card.name: card for card in (TaskCard.model_validate(facts) for facts in tasks.superglue.CARDS)}
NAMES = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "axb", "axg")
TOKENIZER = load_tokenizer(locate("tiny:bert"))
ROWS: dict[str, list[dict[str, Any]]] = {
    "boolq": [{"question": "is tea a drink", "passage": "Tea -- Tea is a drink.", "idx": 0, "label": 1}],
    "cb": [{"premise": "I think it rains.", "hypothesis": "it rains", "idx": 0, "label": 2}],
    "copa": [
        {"premise": "It rained.", "choice1": "Wet.", "choice2": "Dry.", "question": "effect", "idx": 0, "label": 0},
        {"premise": "I fell.", "choice1": "Sun.", "choice2": "Ice.", "question": "cause", "idx": 1, "label": 1},
    ],
    "multirc": [
        {"paragraph": "P", "question": "Who?", "answer": "You", "idx": _index, "label": label}
        for _index, label in (
            ({"paragraph": 0, "question": 0, "answer": 0}, 1),
            ({"paragraph": 0, "question": 0, "answer": 1}, 0),
            ({"paragraph": 0, "question": 1, "answer": 0}, 1),
        )
    ],
    "record": [
        {
            "passage": "Ann met Bob.",
            "query": "It was @placeholder who left.",
            "entities": ["Ann", "Bob"],
            "answers": ["Bob"],
            "idx": {"passage": 3, "query": 9},
        }
    ],
    "rte": [{"premise": "A cat sat.", "hypothesis": "It sat.", "idx": 0, "label": 0}],
    "wic": [
        {
            "word": "run",
            "sentence1": "A long run.",
            "sentence2": "They ran.",
            "start1": 7,
            "end1": 10,
            "start2": 5,
            "end2": 8,
            "idx": 0,
            "label": 0,
        }
    ],
    "wsc": [
        {
            "text": "Ann saw Bob, and she left.",
            "span1_index": 0,
            "span1_text": "Ann",
            "span2_index": 4,
            "span2_text": "she",
            "idx": 0,
            "label": 1,
        }
    ],
    "axb": [{"sentence1": "A cat sat.", "sentence2": "It sat.", "idx": 0, "label": 0}],
    "axg": [
        {"premise": f"{word} cat sat.", "hypothesis": "It sat.", "idx": row, "label": row // 2}
        for row, word in enumerate(("His", "Her", "Its", "Their"))
    ],
}
"""Rows in the source's own format."""
READ = {
    "boolq": ["<s>Tea -- Tea is a drink.</s>is tea a drink</s>"],
    "cb": ["<s>I think it rains.</s>it rains</s>"],
    "copa": [
        "<s>It rained.</s>What happened as a result? Wet.</s>",
        "<s>It rained.</s>What happened as a result? Dry.</s>",
        "<s>I fell.</s>What was the cause of this? Sun.</s>",
        "<s>I fell.</s>What was the cause of this? Ice.</s>",
    ],
    "multirc": ["<s>P</s>Who? You</s>"] * 3,
    "record": ["<s>Ann met Bob.</s>It was Ann who left.</s>", "<s>Ann met Bob.</s>It was Bob who left.</s>"],
    "rte": ["<s>A cat sat.</s>It sat.</s>"],
    "wic": ["<s>A long run.</s>They ran.</s>"],
    "wsc": ["<s>Ann saw Bob, and she left.</s>"],
    "axb": ["<s>A cat sat.</s>It sat.</s>"],
    "axg": [f"<s>{word} cat sat.</s>It sat.</s>" for word in ("His", "Her", "Its", "Their")],
}


@dataclass(frozen=True)
class Given(DataSource):
    """Rows that a test gives, as a hub would."""

    rows: Any = None

    def read(self, task: Any, split: Split) -> Any:
        from harness.data import Raw

        return Raw(task.prepare(pa.Table.from_pylist(self.rows), split), "digest", "unknown")

    def digest(self, task: Any, split: Split) -> str:
        return "digest"


def part(name: str, rows: list[dict[str, Any]], which: Split = "evaluation") -> Part:
    return Part(registry.load_task(f"superglue/{name}", "classify"), which, Given(rows=rows))


def encoded(name: str, rows: list[dict[str, Any]], which: Split = "evaluation") -> Examples:
    rows_of = part(name, rows, which)
    return meet("classify", rows_of.task.card).encode(rows_of, TOKENIZER, 160)


def texts(examples: Examples) -> list[str]:
    found = []
    for one in examples.inputs:
        found += [TOKENIZER.decode(each["input_ids"]) for each in one.get("candidates", [one])]
    return found


def test_the_family_is_superglue_with_its_diagnostics() -> None:
    assert list(CARDS) == [f"superglue/{name}" for name in NAMES]
    assert {(card.source.hub, card.source.revision) for card in CARDS.values()} == {
        ("aps/super_glue", "3de24cf8022e94f4ee4b9d55a6f539891524d646")
    }
    assert {str(card.source.config) for card in CARDS.values()} == {*NAMES, "wsc.fixed"} - {"wsc"}


def test_cards_are_a_literal_that_is_readable_without_importing() -> None:
    tree = ast.parse(Path(tasks.superglue.__file__).read_text(encoding="utf-8"))
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for name in ("CARDS", "AVERAGES", "SUBMISSION"):
        assert ast.literal_eval(assigned[name]) == getattr(tasks.superglue, name)


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_agrees_with_itself(card: TaskCard) -> None:
    assert card.sizes.keys() == card.source.splits.keys()
    assert card.metric.name not in card.also
    assert 0 <= card.metric.chance < 1
    assert card.metric.ceiling == 1.0
    for name in (card.metric.name, *card.also):
        assert metric.find(name).name == name


def test_diagnostics_are_scored_with_rte_and_count_in_no_average() -> None:
    for name in ("superglue/axb", "superglue/axg"):
        assert CARDS[name].score_only_with == "superglue/rte"
        assert CARDS[name].labels == CARDS["superglue/rte"].labels
        assert "train" not in CARDS[name].source.splits
    (average,) = tasks.superglue.AVERAGES
    assert average["tasks"] == [f"superglue/{name}" for name in NAMES[:8]]


def test_the_random_masking_papers_sizes_leave_rows_to_train_on() -> None:
    sizes = {name: card.policy_sizes for name, card in CARDS.items() if card.policy_sizes}
    assert sizes == {
        "superglue/cb": {"subsampled": {"validation": 50}},
        "superglue/wsc": {"subsampled": {"validation": 50}},
        "superglue/copa": {"subsampled": {"validation": 100}},
    }


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_source_are_read_as_the_task_says(name: str) -> None:
    examples = encoded(name, ROWS[name])
    assert texts(examples) == READ[name]
    assert len(examples.references) == len(examples.item_ids) == len(ROWS[name])


@pytest.mark.parametrize("name", NAMES)
def test_perfect_predictions_reach_the_ceiling(name: str) -> None:
    examples = encoded(name, ROWS[name])
    card = CARDS[f"superglue/{name}"]
    predictions = meet("classify", card.through("classify")).perfect(examples)
    for which in (card.metric.name, *card.also):
        one = metric.find(which)
        best = one.score(one.rows(predictions, examples.references))
        expected = 0.0 if which == "matthews" else 1.0  # one row has no correlation, which the field calls 0
        assert best == expected, which


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_hidden_split_are_read_without_labels(name: str) -> None:
    rows = [{**row, **({"label": -1} if "label" in row else {"answers": []})} for row in ROWS[name]]
    examples = encoded(name, rows, "hidden")
    assert texts(examples) == READ[name]
    assert list(examples.references) == []
    assert all("labels" not in one and "right" not in one for one in examples.inputs)
    if name not in ("record",):
        with pytest.raises(MissingPrerequisite, match="-1 marks labels that are not public"):
            encoded(name, rows)


def test_marked_words_are_those_of_the_row() -> None:
    (example,) = encoded("wic", ROWS["wic"]).inputs
    assert [TOKENIZER.decode(example["input_ids"][a:b]) for a, b in example["spans"]] == ["run", "ran"]
    (example,) = encoded("wsc", ROWS["wsc"]).inputs
    assert [TOKENIZER.decode(example["input_ids"][a:b]) for a, b in example["spans"]] == ["Ann", "she"]


def test_answers_of_a_question_and_sentences_of_a_pair_are_bound_together() -> None:
    questions = encoded("multirc", ROWS["multirc"])
    assert questions.references == [
        {"label": 1.0, "question": "0"},
        {"label": 0.0, "question": "0"},
        {"label": 1.0, "question": "1"},
    ]
    assert questions.cluster_ids == ("evaluation:0", "evaluation:0", "evaluation:1")
    assert encoded("axg", ROWS["axg"]).cluster_ids == tuple(f"evaluation:{pair}" for pair in (0, 0, 1, 1))


def test_a_missing_column_is_named() -> None:
    rows = [{key: value for key, value in row.items() if key != "hypothesis"} for row in ROWS["rte"]]
    with pytest.raises(MissingPrerequisite, match="superglue/rte .* has no column hypothesis; it has premise"):
        encoded("rte", rows)
    for name, column in (("copa", "question"), ("multirc", "answer"), ("wsc", "span1_text")):
        rows = [{key: value for key, value in row.items() if key != column} for row in ROWS[name]]
        with pytest.raises(MissingPrerequisite, match=f"superglue/{name} .*has no column {column}"):
            encoded(name, rows)


def test_a_question_that_copa_does_not_ask_is_named() -> None:
    with pytest.raises(MissingPrerequisite, match="superglue/copa .*question 'why'.*cause, effect"):
        encoded("copa", [{**ROWS["copa"][0], "question": "why"}])


def test_every_file_of_the_server_says_the_classes_in_their_order() -> None:
    targets = {str(one["task"]): one for one in tasks.superglue.SUBMISSION}
    assert targets.keys() == CARDS.keys()
    for name, target in targets.items():
        words, labels = target.get("labels", []), CARDS[name].labels
        assert isinstance(words, list)
        assert [str(word).lower() for word in words] in (
            [label.lower() for label in labels],
            [str(number) for number in range(len(labels))],
        )


@pytest.fixture(scope="module")
def source() -> DataSource:
    return DataSource(Path(os.environ["PARETUNE_MIRROR"]))


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_real_rows_can_be_read_and_are_of_the_stated_sizes(source: DataSource, name: str) -> None:
    task = registry.load_task(f"superglue/{name}", "classify")
    for which in task.card.source.splits:
        if name == "record" and which == "hidden":
            continue  # not in the mirror
        raw = source.read(task, which)
        if raw.state == "complete":
            assert raw.table.num_rows == task.card.sizes[which]
        few = Part(task, which, source, np.arange(min(40, raw.table.num_rows)))
        examples = meet("classify", task.card).encode(few, TOKENIZER, 8192)
        assert len(examples) == len(few.chosen())
        assert examples.truncated == 0


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in NAMES if name != "record"])
def test_real_labels_are_the_classes_of_the_card(source: DataSource, name: str) -> None:
    card = CARDS[f"superglue/{name}"]
    task = registry.load_task(card.name, "classify")
    table = source.read(task, "evaluation").table
    assert sorted(Counter(table["label"].to_pylist())) == list(range(len(card.labels)))
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert tuple(features["label"]["names"]) == card.labels


@pytest.mark.data
def test_chance_is_the_best_constant_on_complete_evaluation_rows(source: DataSource) -> None:
    checked = []
    for name, card in CARDS.items():
        task = registry.load_task(name, "classify")
        if source.state(task, "evaluation") != "complete":
            continue
        rows = Part(task, "evaluation", source)
        labels = rows.values("label")
        references: list[Any] = labels
        for field in ("question", "pair"):
            if f"{field}_id" in card.columns:
                groups = rows.values(card.columns[f"{field}_id"])
                references = [{"label": y, field: str(group)} for y, group in zip(labels, groups, strict=True)]
        one = metric.find(card.metric.name)
        best = max(one.score(one.rows([value] * len(labels), references)) for value in set(labels))
        assert card.metric.chance == pytest.approx(best, abs=5e-5), name
        checked.append(name)
    assert len(checked) == 8


@pytest.mark.data
def test_chance_of_record_is_a_uniform_guess_on_the_rows_at_hand(source: DataSource) -> None:
    task = registry.load_task("superglue/record", "classify")
    one, chances = metric.find("record.f1"), []
    for which in ("train", "evaluation"):
        rows = Part(task, which, source)  # type: ignore[arg-type]  # two of the splits
        for entities, answers in zip(rows.values("entities"), rows.values("answers"), strict=True):
            chances.append(one.score(one.rows(entities, [answers] * len(entities))))
    assert len(chances) == 64
    assert task.card.metric.chance == pytest.approx(np.mean(chances), abs=5e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", ["cb", "copa", "wsc", "wic"])
def test_the_random_masking_papers_policy_divides_the_real_rows(source: DataSource, name: str) -> None:
    task = registry.load_task(f"superglue/{name}", "classify")
    found = split(task, [task], source, policy="subsampled", sizes=Sizes(), data_seed=0, sealed=False)
    assert found.validation is not None
    sizes = len(found.train.chosen()), len(found.validation.chosen())
    assert sizes == {"cb": (200, 50), "copa": (300, 100), "wsc": (504, 50), "wic": (1000, 500)}[name]
