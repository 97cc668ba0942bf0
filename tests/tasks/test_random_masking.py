"""The eleven tasks of the random-masking paper: its loss, score, metric and sizes, on the rows of other families."""

from __future__ import annotations

import pytest

from harness import registry
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
