"""Papers' numbers stand beside ours only where both are of the same thing, and the page says why they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaderboard.cells import Section
from leaderboard.load import load_records
from leaderboard.reported import Beside, beside, hub_name, reported
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers, card

ROBERTA = "hub:roberta-base@abc123"
CARD = card("glue/sst2") | {
    "source": {"hub": "x", "splits": {"train": "train", "validation": "validation"}},
    "sizes": {"train": 67349, "evaluation": 40},
}


def sections(folder: Path, backbone: str = ROBERTA, **facts: Any) -> tuple[Section, ...]:
    for seed in range(3):
        facts = {"cards": {"glue/sst2": CARD}, "state": "complete", "spec": {}, **facts}
        made = Made(**facts, seed=seed, backbone=backbone)
        made.items = {made.task: answers(40, 4 + seed, seed)}
        made.write(folder)
    return Site.of(load_records([folder])).sections


def of(folder: Path, **facts: Any) -> Beside:
    (section,) = sections(folder, **facts)
    return beside(section, section.columns[0])


def words(found: Beside) -> str:
    return " ".join(f"{sentence.about}: {sentence.text}" for sentence in found.sentences)


def test_complete_data_of_the_same_backbone_task_split_and_metric_have_the_papers_numbers_beside_them(
    tmp_path: Path,
) -> None:
    found = of(tmp_path)
    known = [one for one in reported()["glue/sst2"] if "roberta-base" in one.backbones]
    assert [one for one, _ in found.shown] == known
    assert len(known) >= 5
    (lora,) = [(one, size) for one, size in found.shown if one.label == "LoRA r=8 q,v"]
    assert (lora[0].method, lora[1], lora[0].value) == ("lora", 300_000, 0.951)
    assert "LoRA paper, Table 2 (arXiv v2), median of 5 seeds (own runs)" in words(found)
    assert words(found).startswith("Reported by papers, double rings")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"state": "carved"}, "our data are carved"),
        ({"state": "unknown"}, "our data are unknown"),
        ({"spec": {"sizes": {"train": 1000}}}, "ours trained on at most 1,000 rows"),
        ({"cards": {"glue/sst2": CARD | {"sizes": {"evaluation": 872}}}}, "ours scored 40 of 872 items"),
        ({"cards": {"glue/sst2": CARD | {"source": {"splits": {"validation": "test"}}}}}, "on another split"),
        ({"cards": {"glue/sst2": CARD | {"metric": CARD["metric"] | {"name": "f1"}}}}, "numbers in accuracy"),
    ],
)
def test_anything_less_draws_none_and_says_why(tmp_path: Path, facts: dict[str, Any], reason: str) -> None:
    found = of(tmp_path, **facts)
    assert not found.shown
    assert words(found).startswith("Reported by papers, not drawn: 7 numbers of this backbone")
    assert reason in words(found)


def test_other_backbones_are_named_and_a_task_without_papers_says_nothing(tmp_path: Path) -> None:
    found = of(tmp_path / "a", backbone="package:mini/model")
    assert not found.shown
    assert "all of other backbones (FacebookAI/roberta-base" in words(found)
    other = of(tmp_path / "b", task="glue/wnli", cards={"glue/wnli": card("glue/wnli")})
    assert other == Beside((), ())


def test_a_number_that_trains_nothing_or_does_not_say_has_no_place(tmp_path: Path) -> None:
    facts = {
        "task": "vtab/dtd",
        "cards": {"vtab/dtd": CARD | {"name": "vtab/dtd", "source": {"splits": {"validation": "test"}}}},
    }
    found = of(tmp_path, backbone="google/vit-base-patch16-224-in21k", **facts)
    assert "1 number without trained parameters to stand at" in words(found)
    assert {one.method for one, _ in found.shown} >= {"lora", "bitfit", "full"}


@pytest.mark.parametrize(
    ("reference", "name"),
    [("hub:a/b@main", "a/b"), ("a/b@123", "a/b"), ("a/b", "a/b"), ("path:a/b", "path:a/b"), ("tiny:bert", "tiny:bert")],
)
def test_only_references_to_the_hub_have_a_name_there(reference: str, name: str) -> None:
    assert hub_name(reference) == name
