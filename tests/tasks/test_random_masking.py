"""The eleven tasks of the random-masking paper: its loss, score, metric and sizes, on the rows of other families."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness import registry
from harness.backbone import locate
from harness.data import DataSource
from harness.matrix import expand
from harness.protocol import meet
from harness.splits import Part
from harness.suite import read
from harness.task import TaskCard
from tasks.random_masking import AVERAGES, TASKS, cards
from tests.tasks.prompting import NAMES

CARDS = {card.name.partition("/")[2]: card for card in (TaskCard.model_validate(facts) for facts in cards())}
WRITTEN = {"squad", "drop"}


def test_there_are_eleven_and_their_mean_is_the_average() -> None:
    assert len(CARDS) == 11
    assert [f"random_masking/{name}" for name in CARDS] == AVERAGES[0]["tasks"]
    assert {f"random_masking/{name}" for name in CARDS} <= set(registry.tasks())


@pytest.mark.parametrize("name", CARDS)
def test_rows_and_splits_are_those_of_the_original_task(name: str) -> None:
    card, original = CARDS[name], TaskCard.model_validate(registry.find("task", TASKS[name].of).card)
    taken = ("source", "sizes", "cluster", "policy_sizes", "licence", "paper")
    assert all(getattr(card, key) == getattr(original, key) for key in taken)


@pytest.mark.parametrize("name", CARDS)
def test_loss_and_score_are_the_papers(name: str) -> None:
    card = CARDS[name]
    assert card.protocols == ("prompt",)
    assert card.options["loss"] == ("continuation" if name in WRITTEN | {"record"} else "candidates")
    assert card.metric.name == ("squad.f1" if name in WRITTEN else "mean.acc_per_token")
    reference = str(card.options["lm_eval"]).partition("shipped:")[2]
    assert reference in NAMES
    assert reference.endswith(name if name != "squad" else "squad_v1")


def test_the_papers_sampling_leaves_rows_to_train_on_everywhere() -> None:
    validated = {name: card.policy_sizes.get("subsampled", {}).get("validation", 500) for name, card in CARDS.items()}
    assert {name: rows for name, rows in validated.items() if rows != 500} == {"cb": 50, "wsc": 50, "copa": 100}
    assert all(CARDS[name].sizes["train"] > rows for name, rows in validated.items())


def test_the_suite_has_the_papers_values() -> None:
    found = expand(read("random_masking", ["backbones=[tiny:opt]"])).specs
    assert {spec.train for spec in found} == {f"random_masking/{name}" for name in CARDS}
    assert {spec.protocol for spec in found} == {"prompt"}
    assert {spec.policy for spec in found} == {"subsampled"}
    assert {spec.targets for spec in found if spec.method in ("lora", "random_mask")} == {"query_value"}
    values = {(one.training.epochs, one.training.batch_size, one.training.max_length) for one in found}
    assert values == {(5, 8, 2048)}
    assert {(one.training.schedule, one.training.select, one.training.warmup) for one in found} == {
        ("constant", "loss", 0.0)
    }
    ratios = {spec.budget.fraction for spec in found if spec.method == "random_mask" and spec.budget}
    assert ratios == {1e-3, 5e-4, 1e-4, 5e-5, 1e-5}


@pytest.mark.data
@pytest.mark.parametrize("name", CARDS)
def test_an_untrained_model_loses_what_guessing_does(name: str) -> None:
    task = registry.load_task(f"random_masking/{name}", "prompt")
    protocol = meet("prompt", task.card)
    backbone = protocol.load(locate("tiny:llama@64x1"))
    part = Part(task, "train", DataSource.of(), indices=np.arange(6))
    examples = protocol.encode(part, backbone.tokenizer, 1024)
    batch = protocol.collate(examples, range(6), backbone.tokenizer, torch.device("cpu"))
    with torch.no_grad():
        loss = float(protocol.loss(backbone.model, batch))
    if task.card.options["loss"] == "candidates":
        outcomes = len(examples.inputs[0].answers)
        assert loss == pytest.approx(math.log(outcomes), abs=0.25)
    else:
        assert loss == pytest.approx(math.log(backbone.model.config.vocab_size), abs=0.5)
