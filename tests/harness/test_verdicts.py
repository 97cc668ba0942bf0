"""What lm-eval said becomes what a card's metrics take, and metrics that take different things are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import verdicts
from harness.errors import MissingPrerequisite
from harness.metric import find
from harness.protocol import Examples, meet
from harness.splits import Part
from harness.task import Task, TaskCard
from tests.tasks.lm_tasks import TASKS, Toys, backbone, evaluator, write


def changed(toys: Toys, task: str, **facts: Any) -> Part:
    part = toys.part(task)
    metric = {"higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0, "name": facts.pop("metric")}
    card = TaskCard.model_validate({**part.task.card.model_dump(), "also": (), "metric": metric, **facts})
    return replace(part, task=Task(card), _cache=[])


def scored(part: Part) -> tuple[Examples, list[Any], list[Any]]:
    loaded, protocol = backbone(), meet("prompt", part.task.card)
    examples = protocol.encode(part, loaded.tokenizer, 96)
    said = evaluator(loaded).predict(loaded.model, protocol, examples)
    assert said.values is not None
    assert said.shown is not None
    return examples, list(said.values), list(said.shown)


def test_a_metric_of_classes_takes_the_chosen_answer(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    classes = changed(toys, "choice", metric="accuracy", columns={"label": "colour"})
    examples, values, shown = scored(classes)
    assert examples.references == [(number * 7) % 3 for number in range(13)]
    assert set(values) <= {0, 1, 2}
    assert values == shown
    theirs = scored(toys.part("choice"))[1]
    metric = find("accuracy")
    assert metric.score(metric.rows(values, examples.references)) == sum(one["acc"] for one in theirs) / 13


def test_classes_that_are_counted_together_are_named(tmp_path: Path) -> None:
    toys = write(tmp_path, {"two": TASKS["two"]})
    part = changed(toys, "two", metric="multirc.em", columns={"question_id": "size"})
    examples, values, _ = scored(part)
    assert examples.references[:3] == [
        {"label": 0, "question": "small"},
        {"label": 1, "question": "middling"},
        {"label": 0, "question": "very large"},
    ]
    assert set(values) <= {0, 1}


def test_a_metric_of_texts_takes_what_was_written_or_chosen(tmp_path: Path) -> None:
    toys = write(tmp_path)
    chosen = scored(changed(toys, "choice", metric="record.f1", columns={"answers": "thing"}))
    assert chosen[0].references[0] == "thing 0"
    assert set(chosen[1]) <= {"red", "green", "dark blue"}
    assert set(chosen[2]) <= {0, 1, 2}
    written = scored(changed(toys, "text", metric="squad.f1", columns={"answers": "size"}))
    assert written[0].references[:2] == ["small", "middling"]
    assert written[1] == [text.strip() for text in written[2]]
    assert all(isinstance(text, str) for text in written[1])


def test_answers_in_another_order_than_the_labels_are_refused(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"] | {"doc_to_target": "{{2 - colour}}"}})
    with pytest.raises(MissingPrerequisite, match="toy_choice takes answer 2 of row 0 for right, whose label is 0"):
        scored(changed(toys, "choice", metric="accuracy", columns={"label": "colour"}))


def test_metrics_that_take_different_predictions_are_refused(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    card = changed(toys, "choice", metric="accuracy", also=("mean.acc",)).task.card
    with pytest.raises(MissingPrerequisite, match=r"take different predictions \(accuracy, mean.acc\)"):
        verdicts.takes(card)
