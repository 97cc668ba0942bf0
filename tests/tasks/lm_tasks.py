"""Small tasks in lm-eval's format, of every kind of request, with rows in a mirror: what tests of ``prompt`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from lm_eval import simple_evaluate  # type: ignore[import-untyped]
from lm_eval.api.task import ConfigurableTask  # type: ignore[import-untyped]
from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]
from torch import nn

from harness import registry
from harness.around import quiet
from harness.backbone import Backbone, locate
from harness.data import DataSource
from harness.protocol import Examples, Protocol, meet
from harness.splits import Part
from harness.task import Split
from runners.score import Evaluator

COLOURS = ["red", "green", "dark blue"]
SIZES = ["small", "middling", "very large"]
BASE: dict[str, Any] = {
    "dataset_path": "toys/rows",
    "dataset_name": "plain",
    "training_split": "train",
    "validation_split": "validation",
    "metadata": {"version": 1.0},
}
TASKS: dict[str, dict[str, Any]] = {
    "choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "The {{thing}} is {{size}}.\nColour:",
        "doc_to_choice": COLOURS,
        "doc_to_target": "colour",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "brier_score"}],
    },
    "one_token": {
        "output_type": "multiple_choice",
        "doc_to_text": "The {{thing}} is {{size}}.\nAnswer:",
        "doc_to_choice": ["A", "B", "C"],
        "target_delimiter": "",
        "doc_to_target": "colour",
        "metric_list": [{"metric": "acc"}, {"metric": "mcc"}],
    },
    "two": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{thing}}, red?",
        "doc_to_choice": {"no": "no", "yes": "yes, it is"},
        "doc_to_target": "{{(colour == 1) | int}}",
        "metric_list": [{"metric": "f1"}, {"metric": "acc_bytes"}, {"metric": "exact_match"}],
    },
    "inputs": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{colour}}",
        "doc_to_choice": "{{['The ' ~ thing ~ ' is red', 'A ' ~ thing ~ ' is green', thing ~ ' blue']}}",
        "doc_to_target": "and {{size}}.",
        "metric_list": [{"metric": "acc"}],
    },
    "text": {
        "output_type": "generate_until",
        "doc_to_text": "Thing: {{thing}}\nSize:",
        "doc_to_target": "{{size}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}, {"metric": "chrf"}, {"metric": "bleu"}, {"metric": "ter"}],
    },
    "target": {
        "output_type": "loglikelihood",
        "doc_to_text": "Thing: {{thing}}\nSize:",
        "doc_to_target": " {{size}}",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "whole": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "A {{size}} {{thing}} stood in the yard, and another {{thing}} was not far away from it.",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
    },
}


def rows(count: int, start: int = 0) -> dict[str, list[Any]]:
    """Return rows of one thing each, with a size and a colour."""
    numbers = range(start, start + count)
    return {
        "thing": [f"thing{'s' * (number % 5)} {number}" for number in numbers],
        "size": [SIZES[number % 3] for number in numbers],
        "colour": [(number * 7) % 3 for number in numbers],
    }


class Toys(NamedTuple):
    """A folder with the tasks' files and their mirror."""

    folder: Path

    @property
    def source(self) -> DataSource:
        return DataSource(self.folder / "mirror")

    def name(self, task: str) -> str:
        return f"lm/{self.folder / task}.yaml"

    def part(self, task: str, split: Split = "evaluation") -> Part:
        return Part(registry.load_task(self.name(task), "prompt"), split, self.source)

    def protocol(self, task: str, **options: Any) -> Protocol:
        return meet("prompt", registry.load_task(self.name(task), "prompt").card, options)

    def encode(
        self, task: str, tokenizer: Any, length: int = 96, split: Split = "evaluation", **options: Any
    ) -> Examples:
        return self.protocol(task, **options).encode(self.part(task, split), tokenizer, length)


def write(folder: Path, tasks: dict[str, dict[str, Any]] = TASKS, train: int = 9, validation: int = 13) -> Toys:
    """Write the tasks and their rows."""
    mirror = folder / "mirror" / "toys" / "rows" / "plain"
    mirror.mkdir(parents=True)
    for split, made in (("train", rows(train, 100)), ("validation", rows(validation))):
        pq.write_table(pa.table(made), mirror / f"{split}.parquet")
    for name, content in tasks.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": f"toy_{name}", **BASE, **content}))
    return Toys(folder)


def backbone(reference: str = "tiny:llama") -> Backbone:
    """Return a language model, the same for every task here."""
    with torch.random.fork_rng():
        return meet("prompt", registry.load_task("lm/boolq").card).load(locate(reference))


def evaluator(loaded: Backbone) -> Evaluator:
    return Evaluator(loaded.tokenizer, torch.device("cpu"), torch.float32)


def theirs(
    toys: Toys, task: str, loaded: Backbone, length: int = 96, batch_size: int = 8, **asked: Any
) -> dict[str, Any]:
    """Return what lm-eval's own evaluation gives for the validation rows; nothing of ours is between."""
    config = yaml.safe_load((toys.folder / f"{task}.yaml").read_text())
    mirror = toys.folder / "mirror" / "toys" / "rows" / "plain"
    splits = {name: datasets.Dataset(pq.read_table(mirror / f"{name}.parquet")) for name in ("train", "validation")}
    with quiet(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)  # a second per call, and no number
        built = ConfigurableTask(config={**config, "custom_dataset": lambda **_: splits})
        scorer = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size, max_length=length)
        found: dict[str, Any] = simple_evaluate(
            model=scorer, tasks=[built], bootstrap_iters=0, task_manager=TaskManager(include_defaults=False), **asked
        )
    return found


@contextmanager
def fed(model: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Collect the token ids that a model reads, row by row, as they stand in its batches."""
    seen: list[tuple[int, ...]] = []

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        mask = kwargs.get("attention_mask")
        for row in range(ids.shape[0]):
            kept = ids[row] if mask is None else ids[row][mask[row][-ids.shape[1] :].bool()]
            seen.append(tuple(kept.tolist()))

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()
