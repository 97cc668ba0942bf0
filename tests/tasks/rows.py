"""Tasks with the rows they are given, generated ones of each input, and a training over them."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from harness import registry
from harness.backbone import Backbone, locate
from harness.data import DataSource
from harness.method import Method, Plan
from harness.protocol import Examples, Protocol, meet
from harness.random import Streams
from harness.record import EpochMetrics
from harness.spec import Training
from harness.splits import Part
from harness.targets import resolve
from harness.task import Split, Task, TaskCard
from runners.fit import Trainer
from runners.score import Evaluator

CPU = torch.device("cpu")
FACTS: dict[str, Any] = {
    "name": "toy/rows",
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "source": {},
    "sizes": {"train": 3, "evaluation": 3},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ("classify",),
}
WARM, COLD = ("red", "pink", "gold"), ("blue", "mint", "grey")
ARCHITECTURES = ("bert", "roberta", "deberta-v2", "opt", "gpt2", "llama")


class Rows(Task):
    """A task with the rows it is given, the same in every split."""

    def __init__(self, facts: dict[str, Any], rows: dict[str, list[Any]]) -> None:
        super().__init__(TaskCard.model_validate(FACTS | facts))
        self.rows = rows

    def table(self, split: Split) -> pa.Table:
        return pa.table(self.rows)


def part(facts: dict[str, Any], rows: dict[str, list[Any]], split: Split = "train") -> Part:
    return Part(Rows(facts, rows), split, DataSource())


def met(facts: dict[str, Any], **options: Any) -> Any:  # Any: what classify has beyond the contract is tested too
    return meet("classify", TaskCard.model_validate(FACTS | facts), options)


ONE_TEXT: dict[str, Any] = {
    "columns": {"text": "s", "span1_start": "b", "span1_end": "e", "label": "y"},
    "labels": ("cold", "warm"),
}
TWO_TEXTS: dict[str, Any] = {
    "columns": {
        "text": "s",
        "text_pair": "t",
        "span1_start": "b",
        "span1_end": "e",
        "span2_start": "f",
        "span2_end": "g",
        "label": "y",
    },
    "labels": ("no", "yes"),
    "options": {"spans": ["text", "text_pair"]},
}
PLACES: dict[str, Any] = {"columns": {"text": "s", "candidates": "c", "label": "y"}}
FILLED: dict[str, Any] = {
    "columns": {"text": "s", "text_pair": "t", "candidates": "c", "answers": "a"},
    "options": {"placeholder": "_"},
    "metric": FACTS["metric"] | {"name": "record.em"},
}


def marked(count: int, seed: int) -> dict[str, list[Any]]:
    """Return texts of three warm and three cold words in random order; the label is whether the marked one is warm.

    Every text has as many of each kind, so that nothing but the mark tells them apart.
    """
    draw = random.Random(seed)
    rows: dict[str, list[Any]] = {"s": [], "b": [], "e": [], "y": []}
    for number in range(count):
        words = draw.sample([*WARM, *COLD], 6)
        word = draw.choice(WARM if number % 2 else COLD)
        text = " ".join(words)
        begin = text.index(word)
        for key, value in zip(rows, (text, begin, begin + len(word), number % 2), strict=True):
            rows[key].append(value)
    return rows


def marked_pairs(count: int, seed: int) -> dict[str, list[Any]]:
    """Return two such texts; the label is whether the word marked in the second one is warm."""
    first, second = marked(count, seed), marked(count, seed + 1)
    return {
        "s": first["s"], "t": second["s"], "b": first["b"], "e": first["e"], "f": second["b"], "g": second["e"],
        "y": second["y"],
    }  # fmt: skip


def offered(count: int, seed: int) -> dict[str, list[Any]]:
    """Return a text and two to four words, one of them warm, in random order; the label is its place."""
    draw = random.Random(seed)
    rows: dict[str, list[Any]] = {"s": [], "c": [], "y": []}
    for _ in range(count):
        words = [*draw.sample(COLD, draw.randint(1, 3)), draw.choice(WARM)]
        draw.shuffle(words)
        rows["s"].append("which is warm")
        rows["c"].append(words)
        rows["y"].append(next(place for place, word in enumerate(words) if word in WARM))
    return rows


def gaps(count: int, seed: int) -> dict[str, list[Any]]:
    """Return a query with a gap and four words, one or two of them right: those of the kind that the query asks for.

    Half of the queries ask for warm words and half for cold ones, so that no word is right by itself.
    """
    draw = random.Random(seed)
    rows: dict[str, list[Any]] = {"s": [], "t": [], "c": [], "a": []}
    for number in range(count):
        right, wrong = (WARM, COLD) if number % 2 else (COLD, WARM)
        answers = draw.sample(right, draw.randint(1, 2))
        words = [*answers, *draw.sample(wrong, 4 - len(answers))]
        draw.shuffle(words)
        for key, value in zip(rows, ("fire" if number % 2 else "ice", "so it is _", words, answers), strict=True):
            rows[key].append(value)
    return rows


class Attached(NamedTuple):
    """A backbone with a method on it, and what meets it."""

    protocol: Protocol
    backbone: Backbone
    method: Method
    evaluator: Evaluator


def attached(facts: dict[str, Any], architecture: str, method: str = "full", seed: int = 0) -> Attached:
    protocol = met(facts)
    backbone = protocol.load(locate(f"tiny:{architecture}"))
    backbone.initialise_head(seed)
    chosen = registry.load_method(method)()
    targets = resolve(backbone.model, "all" if method == "full" else "linear", backbone.head)
    plan = Plan(targets, backbone.head, backbone.num_parameters, total_steps=100, epochs=2, batch_size=16)
    chosen.start(backbone.model, plan, Streams(seed))
    return Attached(protocol, backbone, chosen, Evaluator(backbone.tokenizer, CPU, torch.float32))


def encoded(on: Attached, facts: dict[str, Any], rows: dict[str, list[Any]], max_length: int = 96) -> Examples:
    return on.protocol.encode(part(facts, rows), on.backbone.tokenizer, max_length)


def learned(
    facts: dict[str, Any], train: dict[str, list[Any]], test: dict[str, list[Any]], architecture: str, **values: Any
) -> list[EpochMetrics]:
    """Train on some rows and validate on others after each epoch; put the backbone back, and see that it is."""
    on = attached(facts, architecture)
    training = Training.model_validate({"batch_size": 16, "lr": 3e-3, **values})
    trainer = Trainer(on.backbone.model, on.method, on.protocol, on.evaluator, training, Streams(0))
    found = trainer.fit(encoded(on, facts, train), encoded(on, facts, test)).validation
    on.method.detach(on.backbone.model, on.backbone.pristine)
    assert not on.backbone.changed()
    return found


def headline(epochs: list[EpochMetrics]) -> np.ndarray:
    return np.array([next(iter(epoch.metrics.values())) for epoch in epochs], dtype=np.float64)
