"""A YAML card alone makes a task of one's own rows; what is wrong in it is named before anything runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import api, registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UserError
from harness.suite import parse

CARD = """
title: Does a word hold a b
data: {train: train.csv, evaluation: test.parquet}
columns: {text: word, label: begins}
labels: ["no", "yes"]
protocol: classify
metric: accuracy
"""
SUITE = {
    "name": "mine",
    "backbones": ["tiny:bert"],
    "methods": ["full"],
    "seeds": [0],
    "training": {"epochs": 5, "lr": 5e-3, "batch_size": 8},
}


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card beside its two files; the working directory is its folder."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abc"), 2)) for _ in range(240)]
    rows = {"word": words, "begins": [int("b" in word) for word in words]}
    table = pa.table(rows)
    (tmp_path / "train.csv").write_text(
        "word,begins\n" + "".join(f"{w},{b}\n" for w, b in zip(words[:180], rows["begins"][:180], strict=True))
    )
    pq.write_table(table.slice(180), tmp_path / "test.parquet")
    (tmp_path / "mine.yaml").write_text(CARD)
    monkeypatch.chdir(tmp_path)
    registry.load_task.cache_clear()
    registry._resolved.cache_clear()
    return tmp_path / "mine.yaml"


def test_a_card_is_a_whole_task_that_trains_scores_and_is_reused(card: Path) -> None:
    suite = parse({**SUITE, "tasks": ["yaml:mine.yaml"]})
    result = api.run_suite(suite, out=card.parent / "out", workers=1)
    (record,) = result.records
    assert record.status == "ok", record.error
    assert record.scores[0].num_items == 60
    accuracy = record.scores[0].metrics["accuracy"]
    assert accuracy is not None
    assert accuracy > 0.8
    assert record.digests.data_state == {"yaml:mine.yaml": "unknown"}
    assert record.task_cards["yaml:mine.yaml"]["title"] == "Does a word hold a b"
    assert api.plan_suite(suite, out=card.parent / "out").counts()["done"] == 1


def test_rows_and_digest_are_those_of_the_files(card: Path) -> None:
    task, source = registry.load_task("yaml:mine.yaml"), DataSource()
    raw = source.read(task, "train")
    assert (raw.table.num_rows, raw.state) == (180, "unknown")
    before = source.digest(task, "evaluation")
    pq.write_table(raw.table.slice(0, 3), card.parent / "test.parquet")
    assert source.digest(task, "evaluation") != before


def test_a_text_of_digits_is_a_text_in_a_file_that_has_no_types(card: Path) -> None:
    (card.parent / "train.csv").write_text("word,begins\n7,0\n08,1\n")
    table = DataSource().read(registry.load_task("yaml:mine.yaml"), "train").table
    assert table.to_pydict() == {"word": ["7", "08"], "begins": [0, 1]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title:", "titel:", "unknown key 'titel'.*did you mean title"),
        ("train.csv", "other.csv", "train is .*other.csv, which is not there; files lie beside the card"),
        ("train.csv", "train.xlsx", r"train is train.xlsx; allowed are .parquet, .csv"),
        ("metric: accuracy", "metric: acuracy", "unknown metric 'acuracy'; did you mean accuracy"),
        ("protocol: classify", "", "give protocol .* or protocols"),
        ("protocol: classify", "protocol: classify\noutput_type: multiple_choice", "is a task of lm-eval; name it lm/"),
        ("train: train.csv", "training: train.csv", "training"),
        ("labels:", "labels: [", "is no plain YAML"),
        ("title: ", "title: !!python/object/apply:os.system ", "is no plain YAML"),
    ],
)
def test_what_is_wrong_in_a_card_is_named(card: Path, old: str, new: str, message: str) -> None:
    card.write_text(CARD.replace(old, new))
    with pytest.raises(MissingPrerequisite if "acuracy" not in new else ValueError, match=f"(?s){message}"):
        registry.load_task("yaml:mine.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: accuracy", "metric: accuracy\nalso: [acuracy]", "unknown metric 'acuracy'; did you mean accuracy"),
        (
            "protocol: classify\nmetric",
            "protocol: span\nmetric",
            "accuracy cannot score span: it takes numbers, and not answer; .* such as squad.f1",
        ),
        ("protocol: classify", "protocol: clasify", "unknown protocol 'clasify' in mine.yaml; did you mean classify"),
        ("metric: accuracy", "metric: mean.rating", "mean.rating cannot score classify"),
        ('labels: ["no", "yes"]\n', "", r"classify needs labels.*\(labels: \[bad, good\]\), or label_range"),
    ],
)
def test_what_would_fail_after_training_is_said_when_the_card_is_read(
    card: Path, old: str, new: str, message: str
) -> None:
    card.write_text(CARD.replace(old, new))
    with pytest.raises(UserError, match=f"(?s){message}"):
        registry.load_task("yaml:mine.yaml")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("corpus.ter", (False, "%", None, None)),
        ("e2e.nist", (True, "", None, None)),
        ("e2e.cider", (True, "", None, 10.0)),
        ("corpus.bleu", (True, "%", None, 1.0)),
    ],
)
def test_a_bare_metric_has_its_own_direction_unit_and_ceiling(card: Path, name: str, facts: tuple[object, ...]) -> None:
    written = CARD.replace("metric: accuracy", f"metric: {name}").replace("classify", "generate")
    card.write_text(written.replace("{text: word, label: begins}", "{source: word, target: begins}"))
    found = registry.load_task("yaml:mine.yaml").card.metric
    assert (found.higher_is_better, found.unit, found.chance, found.ceiling) == facts


@pytest.mark.parametrize("name", ["judge.rating", "lm.perplexity", "mean.acc"])
def test_a_number_of_somebody_elses_needs_all_facts(card: Path, name: str) -> None:
    card.write_text(CARD.replace("metric: accuracy", f"metric: {name}").replace("classify", "prompt"))
    with pytest.raises(MissingPrerequisite, match=rf"{name} is what somebody else computed.*\{{name: {name}, higher"):
        registry.load_task("yaml:mine.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"word,word,begins\nab,ab,1\n", "train.csv has several columns named word; rename or remove all but one"),
        ("word,begins\ncaf\u00e9,1\n".encode("latin-1"), "train.csv cannot be read: .*; save the file as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_meant_is_named(card: Path, content: bytes, message: str) -> None:
    (card.parent / "train.csv").write_bytes(content)
    with pytest.raises(MissingPrerequisite, match=message):
        DataSource().read(registry.load_task("yaml:mine.yaml"), "train")


def test_metrics_that_cannot_score_the_task_are_said_before_training_without_its_rows(card: Path) -> None:
    card.write_text(CARD.replace("metric: accuracy", "metric: record.em"))  # texts, where this task has classes
    result = api.run_suite(parse({**SUITE, "tasks": ["yaml:mine.yaml"]}), out=card.parent / "out", workers=1)
    (record,) = result.records
    assert record.status == "failed"
    assert record.error is not None
    assert "its metrics (record.em) cannot score even perfect answers of classify" in str(record.error.message)
    assert record.cost.steps is None


def test_labels_may_be_the_names_of_the_classes(card: Path) -> None:
    (card.parent / "train.csv").write_text("word,begins\nab,yes\ncc,no\n")
    task = registry.load_task("yaml:mine.yaml")
    assert DataSource().read(task, "train").table["begins"].to_pylist() == [1, 0]
    (card.parent / "train.csv").write_text("word,begins\nab,yes\ncc,nope\n")
    with pytest.raises(MissingPrerequisite, match="1 labels .* such as 'nope' in row 1; allowed are no, yes, or their"):
        DataSource().read(task, "train")


def test_a_card_that_is_not_there_is_named(card: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"the task 'yaml:none.yaml' is none.yaml, which cannot be read"):
        registry.load_task("yaml:none.yaml")


def test_an_edited_card_makes_its_records_stale(card: Path) -> None:
    suite = parse({**SUITE, "methods": ["base"], "tasks": ["yaml:mine.yaml"]})
    api.run_suite(suite, out=card.parent / "out", workers=1)
    card.write_text(CARD.replace('["no", "yes"]', '["other", "yes"]'))
    registry.load_task.cache_clear()
    registry._resolved.cache_clear()
    assert api.plan_suite(suite, out=card.parent / "out").counts()["stale"] == 1


def test_a_card_of_hub_data_names_the_dataset(card: Path, tmp_path: Path) -> None:
    card.write_text(CARD.replace("{train: train.csv, evaluation: test.parquet}", "{hub: team/words, config: small}"))
    task = registry.load_task("yaml:mine.yaml")
    place = tmp_path / "mirror" / "team" / "words" / "small"
    place.mkdir(parents=True)
    pq.write_table(pa.table({"word": ["b"], "begins": [1]}), place / "train.parquet")
    assert DataSource(tmp_path / "mirror").read(task, "train").table.num_rows == 1
