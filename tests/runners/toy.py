"""A toy task, and one run's training over it, for the tests of the loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from harness.method import Method
from harness.protocol import Examples, meet
from harness.random import Streams
from harness.spec import Training
from harness.task import TaskCard
from runners.fit import Trainer
from runners.score import Evaluator
from tests.methods.attaching import Attached, attach, backbone

CARD = TaskCard.model_validate(
    {
        "name": "toy/letters",
        "title": "Which letter leads",
        "paper": "none",
        "url": "",
        "year": 2025,
        "licence": "none",
        "version": 1,
        "source": {},
        "columns": {"text": "text", "label": "label"},
        "labels": ("a", "b"),
        "sizes": {"train": 32, "evaluation": 32},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "also": ("f1",),
        "protocols": ("classify",),
    }
)


def examples(count: int, seed: int = 0, offset: int = 0) -> Examples:
    """Return rows of 3 to 20 tokens whose label is 1 where the byte ``b`` leads."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    inputs = []
    for label in labels:
        ids = [1, 100 + int(label), *draw.integers(5, 90, draw.integers(0, 17)).tolist(), 2]
        inputs.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": float(label)})
    lengths = np.array([len(one["input_ids"]) for one in inputs], dtype=np.int64)
    names = tuple(f"train:{row + offset}" for row in range(count))
    return Examples(tuple(inputs), lengths, names, names, labels.astype(np.float64).tolist())


def trainer(started: Attached, card: TaskCard = CARD, method: Method | None = None, **training: Any) -> Trainer:
    evaluator = Evaluator(started.backbone.tokenizer, torch.device("cpu"), torch.float32)
    values = Training.model_validate({"epochs": 2, "batch_size": 8, "lr": 1e-3, **training})
    return Trainer(started.model, method or started.method, meet("classify", card), evaluator, values, Streams(0))


def started(method: str = "full", architecture: str = "bert", seed: int = 0, **values: Any) -> Attached:
    return attach(method, backbone(architecture), seed=seed, **values)
