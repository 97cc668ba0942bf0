"""Each row is met by the task that it names, as if it had been met by itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.requests import Asked, ask
from harness.routing import column_of, route
from harness.splits import Part
from harness.task import Split

SUBJECTS = ["virology", "anatomy", "virology", "anatomy", "virology", "anatomy"]


def questions(subjects: list[str], split: str) -> dict[str, list[Any]]:
    return {
        "question": [f"{split} {subject} {number}?" for number, subject in enumerate(subjects)],
        "subject": subjects,
        "choices": [["zero", "one", "two", "three"] for _ in subjects],
        "answer": [number % 4 for number, _ in enumerate(subjects)],
    }


def mirror(folder: Path) -> DataSource:
    def write(config: str, split: str, rows: dict[str, list[Any]]) -> None:
        place = folder / "cais" / "mmlu" / config
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows), place / f"{split}.parquet")

    for split, subjects in (("test", SUBJECTS), ("dev", SUBJECTS * 4), ("validation", SUBJECTS)):
        write("all", split, questions(subjects, split))
        for subject in set(SUBJECTS):
            rows = pa.table(questions(subjects, split))
            own = rows.filter(pc.equal(rows["subject"], subject))
            write(subject, split, own.to_pydict())
    return DataSource(folder)


def part(source: DataSource, name: str, split: Split = "evaluation") -> Part:
    return Part(registry.load_task(name, "prompt"), split, source)


def arguments(asked: Asked) -> list[list[tuple[str, str]]]:
    return [[one.args for one in item.instances] for item in asked.items]


@pytest.mark.parametrize("shots", [0, 5])
def test_every_row_is_asked_as_its_own_task_asks_it_alone(tmp_path: Path, shots: int) -> None:
    source = mirror(tmp_path)
    by_task = partial(ask, num_fewshot=shots)
    together = route(part(source, "mmlu/all"), "mmlu_{subject}", by_task)
    assert [item.row for item in together.items] == list(range(6))
    assert together.kind == "multiple_choice"
    alone = {
        subject: iter(arguments(route(part(source, f"mmlu/{subject}"), f"mmlu_{subject}", by_task)))
        for subject in set(SUBJECTS)
    }
    assert arguments(together) == [next(alone[subject]) for subject in SUBJECTS]
    first = together.items[0].instances[0].args[0]
    assert first.count("dev virology") == shots
    assert "dev anatomy" not in first


def test_chosen_rows_keep_their_places(tmp_path: Path) -> None:
    whole = part(mirror(tmp_path), "mmlu/all")
    some = Part(whole.task, whole.split, whole.source, np.array([1, 4, 5]))
    asked = route(some, "mmlu_{subject}", ask)
    assert [item.doc["question"] for item in asked.items] == ["test anatomy 1?", "test virology 4?", "test anatomy 5?"]
    assert [item.row for item in asked.items] == [0, 1, 2]


def test_a_value_that_names_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="unknown lm-eval task 'chess_anatomy'|unknown lm-eval task 'chess_v"):
        route(part(mirror(tmp_path), "mmlu/all"), "chess_{subject}", ask)
    with pytest.raises(MissingPrerequisite, match="has no column theme"):
        route(part(mirror(tmp_path / "b"), "mmlu/all"), "mmlu_{theme}", ask)


@pytest.mark.parametrize("reference", ["mmlu_{}", "mmlu_{a}_{b}", "mmlu_{a"])
def test_braces_name_one_column(reference: str) -> None:
    with pytest.raises(MissingPrerequisite, match=r"mmlu_\{subject\}"):
        column_of(reference)


def test_a_reference_without_braces_and_a_path_are_one_task() -> None:
    assert column_of("boolq") is None
    assert column_of("path:/some/{odd}/place.yaml") is None
    assert column_of("mmlu_{subject}") == "subject"
