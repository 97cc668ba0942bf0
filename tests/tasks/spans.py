"""Rows of questions on texts, and models whose logits are known, for the tests of span."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import torch

from harness.backbone import load_tokenizer, locate
from harness.data import DataSource
from harness.protocol import Examples, Predictions, meet
from harness.splits import Part
from harness.task import Split, Task, TaskCard
from runners.score import Evaluator

CPU = torch.device("cpu")
FACTS: dict[str, Any] = {
    "name": "toy/span",
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "source": {},
    "columns": {"question": "q", "context": "c", "answers": "a"},
    "sizes": {"train": 3, "evaluation": 3},
    "metric": {"name": "squad.f1", "higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0},
    "also": ("squad.best_exact",),
    "protocols": ("span",),
}
CARD = TaskCard.model_validate(FACTS)
TOKENIZER = load_tokenizer(locate("tiny:bert"))
TWO = [("q", "ab cd", [("cd", 3)]), ("who?", "x", [("x", 0)])]
Row = tuple[str, str, list[tuple[str, int]]]


class Rows(Task):
    """A task with the rows it is given: question, context, and answers with their places."""

    def __init__(self, rows: list[Row], **changed: list[Any]) -> None:
        super().__init__(CARD)
        answers = [{"text": [t for t, _ in a], "answer_start": [s for _, s in a]} for _, _, a in rows]
        kind = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
        columns = {"q": [q for q, _, _ in rows], "c": [c for _, c, _ in rows], "a": pa.array(answers, kind)}
        self.rows = pa.table({name: column for name, column in (columns | changed).items() if column is not None})

    def table(self, split: Split) -> pa.Table:
        return self.rows


def met(**options: Any) -> Any:  # Any: what span has beyond the contract is tested too
    return meet("span", CARD, options)


def encode(rows: list[Row], max_length: int = 32, tokenizer: Any = TOKENIZER, **options: Any) -> Examples:
    found: Examples = met(**options).encode(Part(Rows(rows), "train", DataSource()), tokenizer, max_length)
    return found


class Said(NamedTuple):
    start_logits: torch.Tensor
    end_logits: torch.Tensor


class Scripted(torch.nn.Module):
    """A model whose logits are drawn for each token of a window from the window's own tokens."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **other: torch.Tensor) -> Said:
        wave = torch.cumsum(input_ids.double() * torch.arange(1, input_ids.shape[1] + 1), dim=1)
        return Said((wave.sin() * 3).float(), ((wave * 1.7).cos() * 3).float())


def predict(examples: Examples, model: torch.nn.Module | None = None, **options: Any) -> Predictions:
    evaluator = Evaluator(TOKENIZER, CPU, torch.float32)
    return evaluator.predict(model or Scripted(), met(**options), examples)
