"""MMLU's cards are lm-eval's tasks and groups, with the sizes and chance levels of the real rows."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import registry
from harness.data import DataSource
from harness.splits import Part
from harness.task import TaskCard
from tasks.mmlu import SUBJECTS, cards

CARDS = {card.name: card for card in (TaskCard.model_validate(facts) for facts in cards())}
GROUPS = list(SUBJECTS)
NAMES = [name for group in SUBJECTS.values() for name in group]


def rows(name: str, split: str = "evaluation") -> list[dict[str, object]]:
    part = Part(registry.load_task(name, "prompt"), split, DataSource.of())  # type: ignore[arg-type]  # a split
    return list(part.raw().table.to_pylist())


def test_there_are_57_subjects_in_four_groups() -> None:
    assert len(NAMES) == len(set(NAMES)) == 57
    assert [len(SUBJECTS[group]) for group in GROUPS] == [19, 13, 12, 13]
    pooled = ["all", *GROUPS]
    expected = [*pooled, *(f"{name}_5shot" for name in pooled), "auxiliary", *NAMES]
    assert sorted(CARDS) == sorted(f"mmlu/{name}" for name in expected)
    assert set(CARDS) <= set(registry.tasks())


def test_subjects_and_groups_are_scored_by_what_is_trained_on_everything() -> None:
    trained = {name for name, card in CARDS.items() if card.score_only_with is None}
    assert trained == {"mmlu/all", "mmlu/all_5shot", "mmlu/auxiliary"}
    assert {CARDS[name].score_only_with for name in CARDS.keys() - trained} == {"mmlu/all"}
    for card in CARDS.values():
        assert set(card.sizes) == set(card.source.splits)


def test_five_demonstrations_are_the_cards_own_value() -> None:
    for name, card in CARDS.items():
        assert card.options.get("num_fewshot") == (5 if name.endswith("_5shot") else None)
        assert "fewshot" in card.source.splits or name == "mmlu/auxiliary"


def test_groups_are_those_of_lm_eval() -> None:
    import lm_eval.tasks
    import yaml

    folder = next(iter(lm_eval.tasks.__path__))
    for group, subjects in SUBJECTS.items():
        for subject in subjects:
            with open(f"{folder}/mmlu/default/mmlu_{subject}.yaml", encoding="utf-8") as file:
                assert yaml.safe_load(file)["tag"] == f"mmlu_{group}_tasks"


@pytest.mark.data
@pytest.mark.parametrize("name", ["all", *GROUPS, "all_5shot", "stem_5shot", *NAMES])
def test_sizes_and_chance_are_those_of_the_real_rows(name: str) -> None:
    card = CARDS[f"mmlu/{name}"]
    found = rows(card.name)
    assert len(found) == card.sizes["evaluation"]
    assert len(rows(card.name, "fewshot")) == card.sizes["fewshot"]
    if "train" in card.sizes:
        assert len(rows(card.name, "train")) == card.sizes["train"]
    most = Counter(row["answer"] for row in found).most_common(1)[0][1]
    assert card.metric.chance == pytest.approx(most / len(found), abs=5e-5)


@pytest.mark.data
def test_a_group_has_the_questions_of_its_subjects_and_no_others() -> None:
    total = 0
    for group, subjects in SUBJECTS.items():
        found = rows(f"mmlu/{group}")
        total += len(found)
        assert Counter(row["subject"] for row in found) == {name: size for name, (size, _) in subjects.items()}
        alone = [row["question"] for name in subjects for row in rows(f"mmlu/{name}")]
        assert sorted(map(str, alone)) == sorted(str(row["question"]) for row in found)
    assert total == len(rows("mmlu/all"))
