"""Papers' numbers in our words: what is mapped, what is left out and why, and that nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.errors import UnknownName
from harness.metric import find
from leaderboard.cleaning import AVERAGE, AVERAGES, DATA, FIELDS, Names, clean, main, read

NAMES = [
    {"kind": "backbone", "theirs": "RoBERTa", "ours": "org/roberta;roberta", "reason": ""},
    {"kind": "method", "theirs": "LoRA", "ours": "lora", "reason": ""},
    {"kind": "method", "theirs": "FacT", "ours": "", "reason": "not ours"},
    {"kind": "split", "theirs": "dev, mean of 5 seeds", "ours": "validation", "reason": ""},
    {"kind": "split", "theirs": "sample", "ours": "", "reason": "a sample"},
    {"kind": "score", "theirs": "SST-2 | accuracy", "ours": "glue/sst2 | accuracy", "reason": ""},
    {"kind": "score", "theirs": "E2E | NIST", "ours": "nlg/e2e | e2e.nist", "reason": ""},
    {"kind": "score", "theirs": "GLUE | mean", "ours": "", "reason": "an average"},
    {"kind": "doubt", "theirs": "P | RoBERTa | FacT", "ours": "", "reason": "few items"},
]
ROW = {
    "paper": "P", "arxiv": "1", "backbone": "RoBERTa", "method": "LoRA", "variant": "r=8", "trainable_params": "300000",
    "trainable_fraction": "", "task": "SST-2", "metric": "accuracy", "value": "95.1", "std": "0.2",
    "split": "dev, mean of 5 seeds", "source": "Table 2", "grade": "table",
}  # fmt: skip


def test_words_become_ours_and_percentages_fractions() -> None:
    (row,), dropped, means = clean([ROW], Names(NAMES))
    assert not dropped
    assert not means
    assert tuple(row[name] for name in FIELDS) == (
        "P", "1", "org/roberta;roberta", "lora", "LoRA", "r=8", "300000", "", "glue/sst2", "accuracy", "0.951", "0.002",
        "validation", "mean of 5 seeds", "Table 2", "table",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "value"),
    [({"value": "0.951"}, "0.951"), ({"task": "E2E", "metric": "NIST", "value": "8.85"}, "8.85")],
)
def test_fractions_and_other_units_stay(change: dict[str, str], value: str) -> None:
    (row,), *_ = clean([ROW | change], Names(NAMES))
    assert row["value"] == value


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "GLUE", "metric": "mean"}, "an average"),
        ({"split": "sample"}, "a sample"),
        ({"method": "FacT"}, "few items"),
        ({"method": "FacT", "task": "GLUE", "metric": "mean"}, "an average"),
    ],
)
def test_what_is_left_out_is_counted_with_its_reason(change: dict[str, str], reason: str) -> None:
    rows, dropped, _ = clean([ROW | change, ROW | change], Names(NAMES))
    assert not rows
    assert [(key[-1], count) for key, count in dropped.items()] == [(reason, 2)]


def test_a_mean_over_tasks_is_dropped_and_kept_by_itself() -> None:
    known = [*NAMES, {"kind": "score", "theirs": "Both | mean", "ours": "", "reason": AVERAGE}]
    rows, dropped, (mean,) = clean([ROW | {"task": "Both", "metric": "mean", "value": "88.3"}], Names(known))
    assert not rows
    assert list(dropped.values()) == [1]
    assert tuple(mean[name] for name in AVERAGES) == (
        "P",
        "RoBERTa",
        "LoRA r=8",
        "300000",
        "",
        "Both",
        "88.3",
        "Table 2",
    )


def test_a_method_that_is_not_ours_keeps_the_paper_s_name() -> None:
    (row,), *_ = clean([ROW | {"method": "FacT", "paper": "Q"}], Names(NAMES))
    assert (row["method"], row["label"]) == ("", "FacT")


@pytest.mark.parametrize("field", ["backbone", "method", "task", "split"])
def test_a_word_that_the_table_does_not_have_stops_it(field: str) -> None:
    with pytest.raises(UnknownName, match="strange"):
        clean([ROW | {field: "strange"}], Names(NAMES))


def test_it_writes_both_tables(tmp_path: Path) -> None:
    collection = tmp_path / "collection.csv"
    shipped = {**ROW, "backbone": "RoBERTa-base"}
    collection.write_text(",".join(shipped) + "\n" + ",".join(f'"{value}"' for value in shipped.values()), "utf-8")
    cleaned = main(collection, tmp_path)
    assert read(tmp_path / "reported.csv") == cleaned.rows
    assert (tmp_path / "reported_dropped.csv").read_text("utf-8").startswith("paper,backbone,method,task,metric,reason")


def test_what_is_shipped_speaks_of_our_own_tasks_methods_and_metrics() -> None:
    rows = read(DATA / "reported.csv")
    dropped = sum(int(row["rows"]) for row in read(DATA / "reported_dropped.csv"))
    assert (len(rows), dropped) == (713, 155)
    assert {row["task"] for row in rows} <= registry.tasks().keys()
    assert {row["method"] for row in rows} - {""} <= registry.methods().keys()
    for row in rows:
        metric = find(row["metric"])
        assert metric.ceiling is None or float(row["value"]) <= metric.ceiling or metric.unit != "%", row
        assert row["source"]
        assert row["split"] in {"validation", "test"}
    used = {row["metric"] for row in rows}
    assert {"accuracy", "squad.f1", "e2e.bleu"} <= used
