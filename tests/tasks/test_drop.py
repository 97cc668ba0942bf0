"""DROP's card agrees with the real rows."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import registry
from harness.data import DataSource
from harness.metric import find
from harness.splits import Part


def answers(split: str) -> list[list[str]]:
    part = Part(registry.load_task("drop/all"), split, DataSource.of())  # type: ignore[arg-type]  # a split
    return part.fields(answers=list)["answers"]


@pytest.mark.data
def test_chance_is_the_best_constant_on_all_development_questions() -> None:
    # The mirror cuts train and evaluation from the official development split, so both together are all of it.
    everything = answers("train") + answers("evaluation")
    assert len(everything) == 9536
    often = Counter(text for accepted in everything for text in set(accepted)).most_common(3)
    metric = find("drop.f1")
    reached = max(metric.score(metric.rows([text] * len(everything), everything)) for text, _ in often)
    assert registry.load_task("drop/all").card.metric.chance == pytest.approx(reached, abs=5e-5)


@pytest.mark.data
def test_any_accepted_answer_reaches_the_ceiling() -> None:
    accepted = answers("evaluation")[:500]
    for name in ("drop.f1", "drop.em", "squad.f1"):
        metric = find(name)
        for pick in (0, -1):
            rows = metric.rows([texts[pick] for texts in accepted], accepted)
            assert metric.score(rows) >= 0.99, name  # a few accepted answers are bare of words
