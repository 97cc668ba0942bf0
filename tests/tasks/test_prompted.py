"""Every prompted card on real rows: asked as lm-eval itself asks, and right answers reach the ceiling."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import datasets
import lm_eval.tasks
import numpy as np
import pytest
import torch
from lm_eval.tasks import TaskManager

import tasks.protocols.prompt
from harness import registry, tiny
from harness.around import quiet
from harness.backbone import locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.protocol import Examples, Protocol, meet
from harness.routing import column_of
from harness.splits import Part
from runners.score import Evaluator, measure

ROWS = 12
SEED = 1234
"""What lm-eval draws demonstrations with."""
FOLDERS = ("mmlu/default", "super_glue", "glue")


def reference(name: str) -> str:
    """Return the lm-eval task of a card."""
    return str(registry.load_task(name, "prompt").card.options["lm_eval"])


NAMES = sorted(
    name
    for name, entry in registry.tasks().items()
    if entry.origin == "built-in" and "prompt" in entry.card.get("protocols", ()) and entry.card["source"].get("hub")  # type: ignore[operator,union-attr]  # cards are dicts
)
MISSING = {"squad/v2": "rajpurkar/squad_v2", "instruct/alpaca": "yahma/alpaca-cleaned"}
"""What the mirror does not have."""
UNSCORED = {"vicuna/eval"}
STOCK = [name for name in NAMES if not reference(name).startswith("shipped:")]


def met(name: str, rows: int = ROWS) -> tuple[Protocol, Part]:
    """Return a card met through prompt, and rows from all over its evaluation split."""
    task = registry.load_task(name, "prompt")
    part = Part(task, "evaluation", DataSource.of())
    count = part.raw().table.num_rows
    return meet("prompt", task.card), replace(part, indices=np.unique(np.linspace(0, count - 1, rows).astype(np.int64)))


def encoded(name: str) -> tuple[Protocol, Examples]:
    protocol, part = met(name)
    return protocol, protocol.encode(part, tiny.tokenizer(closed=False), 10**6)


def by_value(rows: list[dict[str, Any]], column: str | None) -> dict[Any, list[dict[str, Any]]]:
    """Return rows by their value of a column; all of them under null without one."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[column] if column else None, []).append(row)
    return found


@cache
def manager() -> TaskManager:
    folder = next(iter(lm_eval.tasks.__path__))
    return TaskManager(include_path=[f"{folder}/{one}" for one in FOLDERS], include_defaults=False)


def stock_requests(name: str, rows: list[Any], shots: int, demonstrations: list[Any]) -> list[tuple[Any, ...]]:
    """Return what lm-eval asks of some rows by itself, found and built by its own task manager (Any: documents)."""
    scored = dict.fromkeys(("train", "test", "validation", "validation_matched", "validation_mismatched"), rows)
    splits = {split: datasets.Dataset.from_list(given) for split, given in (scored | {"dev": demonstrations}).items()}
    override = {"task": name, "custom_dataset": lambda **_: splits}
    with quiet():
        (task,) = manager().load([{"group": "one", "task": [override]}])["tasks"].values()
        task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=SEED)
        task.build_all_requests(limit=None, rank=0, world_size=1)
    return [one.args for one in task.instances]


def test_every_prompted_task_is_counted() -> None:
    families = {name.partition("/")[0] for name in NAMES}
    assert {"drop", "glue", "instruct", "mmlu", "random_masking", "squad", "superglue", "vicuna"} <= families
    assert len(NAMES) >= 1 + 9 + 1 + 68 + 11 + 2 + 8 + 1


@pytest.mark.data
@pytest.mark.parametrize("name", STOCK)
def test_stock_tasks_are_asked_as_lm_eval_asks_them(name: str) -> None:
    protocol, part = met(name)
    stock, shots = reference(name), int(str(protocol.card.options.get("num_fewshot", 0)))
    column = column_of(stock)
    shown = replace(part, split="fewshot", indices=None, _cache=[]).raw().table.to_pylist() if shots else []
    demonstrations = by_value(shown, column)
    asked = protocol.encode(part, tiny.tokenizer(closed=False), 10**6).extra["asked"].items
    compared = 0
    for value, rows in by_value(part.raw().table.take(part.chosen()).to_pylist(), column).items():
        ours = [one.args for item in asked if column is None or item.doc[column] == value for one in item.instances]
        task = stock.format(**{column: value}) if column else stock
        theirs = stock_requests(task, rows, shots, demonstrations.get(value, []))
        assert ours == theirs
        compared += len(theirs)
    assert compared >= 2 * len(part.chosen()) > 0


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in NAMES if name not in MISSING and name not in UNSCORED])
def test_right_answers_reach_the_ceiling(name: str) -> None:
    protocol, examples = encoded(name)
    found = measure(protocol.card, protocol.perfect(examples), examples.references).metrics
    assert list(found) == [protocol.card.metric.name, *protocol.card.also]
    assert set(found.values()) == {protocol.card.metric.ceiling} == {1.0}, found


class Guessing:
    """What answers lm-eval's requests for a likelihood by chance."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        return [(float(-value), bool(value < 0.2)) for value in self.draw.random(len(requests))]


THEIRS = {
    "accuracy": "acc",
    "matthews": "mcc",
    "f1": "f1",
    "labels.macro_f1": "f1",
    "multirc.accuracy": "acc",
    "mean.acc": "acc",
    "mean.f1": "f1",
    "mean.em": "em",
}
"""Our name of a number to lm-eval's."""
GUESSED = [name for name in STOCK if name.startswith(("glue/", "superglue/"))] + ["mmlu/anatomy"]


@pytest.mark.data
@pytest.mark.parametrize("name", GUESSED)
def test_numbers_are_lm_evals_own_whatever_is_answered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.protocols.prompt, "live", lambda *_: nullcontext(Guessing(len(name))))
    protocol, part = met(name, 60)
    examples = protocol.encode(part, tiny.tokenizer(closed=False), 10**6)
    evaluator = Evaluator(tiny.tokenizer(closed=False), torch.device("cpu"), torch.float32)
    predicted = protocol.predict(torch.nn.Module(), examples, evaluator)
    ours = measure(protocol.card, predicted.values, examples.references).metrics
    items = examples.extra["asked"].items
    values = [one.task.process_results(one.doc, [each.resps[0] for each in one.instances]) for one in items]
    compared = 0
    for metric, together in items[0].task.aggregation().items():
        theirs = together([value[metric] for value in values])
        for known in (known for known in ours if THEIRS.get(known) == metric):
            assert ours[known] == pytest.approx(theirs, abs=1e-12), known
            compared += 1
    assert compared >= 1
    assert 0 < max(number for number in ours.values() if number is not None) < 1


@pytest.mark.data
@pytest.mark.parametrize("name", MISSING)
def test_what_the_mirror_lacks_is_named(name: str) -> None:
    part = Part(registry.load_task(name, "prompt"), "train", DataSource.of())
    with pytest.raises(MissingPrerequisite, match=MISSING[name]):
        part.raw()


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_model_can_be_built_for_every_prompted_card(name: str) -> None:
    protocol = meet("prompt", registry.load_task(name, "prompt").card)
    _, head = protocol.build(locate("tiny:opt"), meta=True)
    assert head == frozenset()
