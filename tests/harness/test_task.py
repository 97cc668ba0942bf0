"""The task contract: a card holds one kind of target, and only a generated task has rows of its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.task import Task, TaskCard

CARD: dict[str, Any] = {
    "name": "glue/rte",
    "title": "RTE",
    "paper": "Dagan et al., 2005",
    "url": "https://example.org",
    "year": 2005,
    "licence": "not stated",
    "version": 1,
    "source": {"hub": "nyu-mll/glue", "config": "rte"},
    "columns": {"text": "sentence1", "label": "label"},
    "labels": ["entailment", "not_entailment"],
    "sizes": {"train": 2490, "evaluation": 277},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ["classify"],
}


def test_a_card_is_read_and_cannot_be_changed() -> None:
    card = TaskCard.model_validate(CARD)
    assert card.source.splits == {"train": "train", "evaluation": "validation"}
    assert TaskCard.model_validate_json(card.model_dump_json()) == card
    with pytest.raises(ValidationError, match="frozen"):
        card.version = 2


def test_a_card_has_classes_or_a_range_but_not_both() -> None:
    assert TaskCard.model_validate({**CARD, "labels": [], "label_range": [0, 5]}).label_range == (0, 5)
    with pytest.raises(ValidationError, match="card glue/rte: give either labels .* or label_range"):
        TaskCard.model_validate({**CARD, "label_range": [0, 5]})


def test_a_card_says_what_differs_through_each_of_its_protocols() -> None:
    other = {**CARD["metric"], "name": "f1"}
    variants = {"prompt": {"columns": {}, "metric": other, "options": {"lm_eval": "rte"}}}
    card = TaskCard.model_validate({**CARD, "protocols": ["classify", "prompt"], "variants": variants})
    prompted, classified = card.through("prompt"), card.through("classify")
    assert (prompted.metric.name, prompted.columns, prompted.options) == ("f1", {}, {"lm_eval": "rte"})
    assert (classified.metric.name, classified.columns, classified.options) == ("accuracy", CARD["columns"], {})
    with pytest.raises(ValidationError, match="a variant for 'span', which is not among its protocols"):
        TaskCard.model_validate({**CARD, "variants": {"span": {}}})


@pytest.mark.parametrize("key", sorted(CARD.keys() - {"labels", "columns"}))
def test_every_fact_is_needed(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        TaskCard.model_validate({name: value for name, value in CARD.items() if name != key})


@pytest.mark.parametrize("key", sorted(CARD))
def test_no_other_fact_is_known(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key}_x"):
        TaskCard.model_validate({**CARD, f"{key}_x": 1})


def test_a_fetched_task_makes_no_rows() -> None:
    with pytest.raises(LookupError, match="glue/rte is fetched from nyu-mll/glue, not generated"):
        Task(TaskCard.model_validate(CARD)).table("train")
