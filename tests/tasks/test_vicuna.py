"""The eighty questions are the real ones; answers are left in the format of FastChat's judge, and rated on request."""

from __future__ import annotations

import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import judge, registry, tiny
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UnknownName
from harness.protocol import meet
from harness.spec import Spec, Training
from harness.splits import Part
from runners.check_task import check_task
from runners.execute import Outcome, execute
from runners.warm import Warm

ROWS: dict[str, list[Any]] = {
    "question_id": [7, 80],
    "category": ["math", "writing"],
    "turns": [["What is 1 + 1?"], ["Write."]],
    "reference": [["2"], []],
}
ANSWERS, JUDGEMENTS = "vicuna_eval.answers.jsonl", "vicuna_eval.judgements.jsonl"


def write(folder: Path, name: str, rows: dict[str, list[Any]]) -> None:
    path = folder / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), path)


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    """A mirror with two questions, and a few instructions to train on."""
    write(tmp_path, "lmsys/vicuna_bench/default/test", ROWS)
    instructions = {"instruction": [f"Say {n}." for n in range(30)], "input": [""] * 30, "output": list("abc") * 10}
    write(tmp_path, "yahma/alpaca-cleaned/default/train", instructions)
    return DataSource(tmp_path)


def scored(source: DataSource, *also: str, **options: Any) -> Outcome:
    """Train on instructions and let the model answer the questions, after other tasks."""
    spec = Spec.model_validate(
        {
            "backbone": "tiny:llama@64x1",
            "method": "base",
            "targets": "none",
            "train": "instruct/alpaca",
            "score": (*also, "vicuna/eval"),
            "protocol": "prompt",
            "options": {"max_gen_tokens": 8, **options},
            "training": {"epochs": 1, "batch_size": 8, "max_length": 256, "select": "loss"},
        }
    )
    outcome = Outcome()
    execute(spec, Warm(source, "cpu"), outcome)
    return outcome


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_answers_are_written_as_the_judge_reads_them(source: DataSource) -> None:
    rows = Part(registry.load_task("vicuna/eval", "prompt"), "evaluation", source)
    items = pa.table({"prediction": ["Two.\nSure.", "Élan"]})
    files = rows.task.files("0123456789abcdef", rows, items)
    assert list(files) == [ANSWERS]
    first, second = lines(files[ANSWERS])
    assert set(first) == {"question_id", "answer_id", "model_id", "choices", "tstamp"}
    assert (first["question_id"], second["question_id"]) == (7, 80)
    assert first["choices"] == [{"index": 0, "turns": ["Two.\nSure."]}]
    assert second["choices"][0]["turns"] == ["Élan"]
    assert first["model_id"] == "0123456789abcdef"
    assert len({first["answer_id"], second["answer_id"]}) == 2
    assert files == rows.task.files("0123456789abcdef", rows, items)
    assert files != rows.task.files("another run", rows, items)


def test_without_a_judge_a_run_answers_and_its_number_is_null(source: DataSource) -> None:
    outcome = scored(source)
    (block,) = outcome.scores
    assert block.metrics == {"judge.rating": None}
    assert block.num_items == 2
    assert [note for note in outcome.notes if "not_applicable: no judge" in note]
    assert outcome.items is not None
    assert list(outcome.files) == [ANSWERS]
    said = [answer["choices"][0]["turns"][0] for answer in lines(outcome.files[ANSWERS])]
    assert said == outcome.items.column("prediction").to_pylist()
    assert all(said)


def test_answers_stand_beside_the_choices_of_another_task(source: DataSource) -> None:
    questions = {"question": ["?", "!"], "subject": ["anatomy"] * 2, "choices": [list("wxyz")] * 2, "answer": [3, 0]}
    assert source.mirror is not None
    for split in ("test", "dev"):
        write(source.mirror, f"cais/mmlu/anatomy/{split}", questions)
    outcome = scored(source, "mmlu/anatomy")
    assert [list(block.metrics) for block in outcome.scores] == [["mean.acc"], ["judge.rating"]]
    assert outcome.items is not None
    *choices, _, _ = said = outcome.items.column("prediction").to_pylist()
    assert all(float(choice) in range(4) for choice in choices)
    assert [one["choices"][0]["turns"][0] for one in lines(outcome.files[ANSWERS])] == said[2:]


def test_a_judge_sees_question_and_reference_and_its_ratings_are_the_score(
    source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[judge.Asked] = []

    def rater(reference: str, model: str | None, answers: list[judge.Asked]) -> list[judge.Judgement]:
        assert (reference, model) == ("https://rater.example/v1", "one")
        seen.extend(answers)
        return [judge.Judgement("Fine. [[8]]", 8.0), judge.Judgement("?", float("nan"))]

    monkeypatch.setattr(judge, "judge", rater)
    outcome = scored(source, judge="https://rater.example/v1", judge_model="one")
    assert [(one.question, one.reference) for one in seen] == [("What is 1 + 1?", "2"), ("Write.", None)]
    assert outcome.scores[0].metrics == {"judge.rating": 8.0}
    assert "1 of 2 answers have no rating that can be read" in outcome.notes
    assert [one.answer for one in seen] == [one["choices"][0]["turns"][0] for one in lines(outcome.files[ANSWERS])]
    first, second = lines(outcome.files[JUDGEMENTS])
    assert (first["question_id"], first["judgment"], first["score"]) == (7, "Fine. [[8]]", 8.0)
    assert second["score"] is None


def test_a_judge_that_fails_costs_neither_training_nor_answers(
    source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "WAITS", ())
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        outcome = scored(source, judge=url, judge_model="one")
    assert outcome.scores[0].metrics == {"judge.rating": None}
    assert list(outcome.files) == [ANSWERS]
    assert all(answer["choices"][0]["turns"][0] for answer in lines(outcome.files[ANSWERS]))
    (note,) = [note for note in outcome.notes if "are not rated" in note]
    assert f"the judge {url} gave no answer" in note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge": "https://rater.example/v1"}, "judge_model"),
        ({"judge": "path:/no/such/judge"}, "is not a folder"),
        ({"judge_model": "one"}, "there is no judge"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_refused_before_any_training(
    source: DataSource, options: dict[str, str], message: str
) -> None:
    protocol = meet("prompt", registry.load_task("instruct/alpaca", "prompt").card, options)
    with pytest.raises(MissingPrerequisite, match=message):
        protocol.check(Training())
    with pytest.raises(MissingPrerequisite, match=message):
        scored(source, **options)


def test_the_promises_that_a_judge_stands_behind_do_not_apply_without_one(source: DataSource) -> None:
    found = {one.promise: one for one in check_task("vicuna/eval", source)}
    assert {one.outcome for one in found.values()} == {"kept", "not_applicable"}
    ceiling = found["perfect answers reach the ceiling"]
    assert (ceiling.outcome, "a judge rates" in ceiling.detail) == ("not_applicable", True)
    assert found["every row is encoded, every item has a name"].outcome == "kept"


def test_a_filter_that_is_not_there_is_refused_before_any_training(source: DataSource) -> None:
    rows = Part(registry.load_task("vicuna/eval", "prompt"), "evaluation", source)
    protocol = meet("prompt", rows.task.card, {"filter": "nope", "max_gen_tokens": 8})
    with pytest.raises(UnknownName, match="unknown filter 'nope' in vicuna; did you mean none"):
        protocol.encode(rows, tiny.tokenizer(closed=False), 256)


CHAT = "{% for one in messages %}<{{ one.role }}>{{ one.content }}{% endfor %}<me>"


def test_the_models_chat_template_is_an_option(source: DataSource) -> None:
    rows = Part(registry.load_task("vicuna/eval", "prompt"), "evaluation", source)
    tokenizer = tiny.tokenizer(closed=False)
    protocol = meet("prompt", rows.task.card, {"chat_template": True, "max_gen_tokens": 8})
    with pytest.raises(MissingPrerequisite, match="has no chat template"):
        protocol.encode(rows, tokenizer, 256)
    tokenizer.chat_template = CHAT
    (first, _) = protocol.encode(rows, tokenizer, 256).extra["asked"].items
    assert first.instances[0].args[0] == "<user>What is 1 + 1?\n<me>"


@pytest.mark.data
def test_the_real_questions_are_eighty_of_one_turn() -> None:
    table = Part(registry.load_task("vicuna/eval", "prompt"), "evaluation", DataSource.of()).raw().table
    rows = table.to_pylist()
    assert sorted(row["question_id"] for row in rows) == list(range(1, 81))
    assert all(len(row["turns"]) == 1 for row in rows)
    assert Counter(row["category"] for row in rows if row["reference"]) == {"coding": 7, "math": 3}
