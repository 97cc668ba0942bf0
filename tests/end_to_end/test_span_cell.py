"""A span cell from spec to record with methods of each kind, on a tiny encoder: the generated task, in windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from harness import api, registry
from harness.errors import NotApplicable
from harness.spec import Spec
from harness.suite import parse
from runners.export import export
from tests.runners.specs import fresh, run, spec

TASK = "embedded/span"


@pytest.fixture(autouse=True, scope="module")
def generated_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        task = registry.load_task(TASK, "span")
        patch.setattr(task, "table", cache(task.table))
        yield


def asked(method: str, **values: Any) -> Spec:
    # The tokens of a tiny backbone are bytes, so 64 of them hold about half of a story.
    here = {"train": TASK, "score": (TASK,), "protocol": "span", "sizes": {"train": 24, "validation": 12, "test": 20}}
    return spec(method, **here | values)


@pytest.mark.parametrize("method", ["base", "full", "lora", "random_mask", "goft", "fish", "head_only"])
def test_a_method_is_trained_scored_and_taken_off_again(method: str) -> None:
    outcome = run(asked(method))
    assert outcome.reusable, "the backbone is bit by bit what it was"
    assert outcome.counts is not None
    assert (outcome.counts.total, outcome.counts.head) == (30_688, 66)
    block = outcome.scores[0]
    assert (block.headline, block.num_items) == ("squad.f1", 20)
    assert all(value is not None and 0 <= value <= 1 for value in block.metrics.values())
    assert block.metrics["squad.best_f1"] >= block.metrics["squad.f1"] - 1e-12  # type: ignore[operator]
    assert outcome.items is not None
    places = outcome.items["prediction"].to_pylist()
    assert all(place == "" or 0 <= int(place.split(":")[0]) < int(place.split(":")[1]) for place in places)
    steps = 0 if outcome.fitted is None else outcome.fitted.steps
    assert (steps == 0) == (method == "base")
    assert steps == 0 or steps > 24 / 16, "a step is over 16 windows, of which a question has several"


def test_a_warm_worker_gives_the_bits_of_a_fresh_one() -> None:
    warm = fresh()
    run(asked("full"), warm)
    again, first = run(asked("lora"), warm), run(asked("lora"))
    assert again.items == first.items
    assert again.validation == first.validation
    assert again.state is not None
    assert first.state is not None
    assert {k: v.numpy().tobytes() for k, v in again.state.items()} == {
        k: v.numpy().tobytes() for k, v in first.state.items()
    }


def test_fish_with_expected_labels_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="the outcomes of embedded/span cannot be listed"):
        run(asked("fish", values={"density": 0.1, "labels": "expected"}, budget=None))


def test_the_score_does_not_depend_on_the_windows_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for size in (1, 7):
        monkeypatch.setattr("runners.execute.PROCESSOR_BATCH", size)
        outcomes.append(run(asked("head_only")))
    first, second = outcomes
    assert first.items is not None
    assert second.items is not None
    assert first.items["prediction"] == second.items["prediction"]


CARD = """
title: Which letter follows
data: {train: rows.jsonl, evaluation: rows.jsonl}
columns: {question: asked, context: text, answers: found}
protocol: span
options: {unanswerable: true, max_answer_tokens: 4}
metric: squad.f1
"""


def test_a_card_of_one_s_own_rows_is_enough_and_its_model_opens_in_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "asked": "x?",
            "text": f"{'ab' * (place % 5)}x{place:02}",
            "found": {"text": ["x"], "answer_start": [2 * (place % 5)]},
        }
        for place in range(30)
    ] + [{"asked": "x?", "text": f"ab{place}", "found": {"text": [], "answer_start": []}} for place in range(10)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "mine.yaml").write_text(CARD)
    monkeypatch.chdir(tmp_path)
    training = {"epochs": 12, "lr": 5e-3, "batch_size": 8, "max_length": 24}
    suite = parse(
        {
            "name": "mine",
            "backbones": ["tiny:bert"],
            "methods": ["full"],
            "tasks": ["yaml:mine.yaml"],
            "seeds": [0],
            "training": training,
            "keep": "all",
        }
    )
    (record,) = api.run_suite(suite, out=tmp_path / "out", workers=1).records
    assert record.status == "ok", record.error
    score = record.scores[0].metrics["squad.f1"]
    assert score is not None
    assert score > 0.9
    assert any("stand in the training rows too" in note for note in record.notes)
    folder = export(record.run_id, [tmp_path / "out"], tmp_path / "model")
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)("x?", "ababx07")["input_ids"]])
    said = model(ids)
    place = int(said.start_logits.argmax())
    assert (place, int(said.end_logits.argmax())) == (8, 8), "<s> x ? </s> a b a b x"
