"""The instruction set is trained on and never scored itself."""

from __future__ import annotations

from harness.task import TaskCard
from tasks.instruct import CARDS


def test_there_is_nothing_to_be_scored_on() -> None:
    (card,) = (TaskCard.model_validate(facts) for facts in CARDS)
    assert card.source.splits == {"train": "train"}
    assert card.protocols == ("prompt",)
