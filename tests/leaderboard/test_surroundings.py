"""The band and the chances of the frontier, and papers' numbers, as a task's chart and its text have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaderboard.figures import task_drawing
from leaderboard.load import load_records
from leaderboard.marks import Drawing
from leaderboard.site import Site
from leaderboard.surroundings import in_reach, percent, surroundings
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import write_small_board

NUMBERS = {"full": 0, "head_only": 1, "lora": 2, "pst": 3, "random_mask": 4}
ROBERTA: dict[str, Any] = {
    "cards": {
        "glue/sst2": card("glue/sst2")
        | {"source": {"splits": {"validation": "validation"}}, "sizes": {"evaluation": 40}}
    },
    "backbone": "roberta-base",
}


def sst2(folder: Path) -> tuple[Drawing, dict[str, str]]:
    (section,) = Site.of(load_records([folder])).sections
    column = next(one for one in section.columns if one.task == "glue/sst2")
    drawing, sentences = surroundings(task_drawing(section, column, NUMBERS), section, column, NUMBERS)
    return drawing, dict(sentences)


def test_the_band_climbs_with_the_budget_and_holds_the_best_mean(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    drawing, words = sst2(tmp_path)
    assert [step.x for step in drawing.band] == [0, 2271, 227_132]
    assert [step.y for step in drawing.band] == pytest.approx([59, 79, 89])
    assert all(step.low < step.y <= step.high for step in drawing.band)
    assert words["Chance to lie on the frontier"].startswith("head_only >99")
    assert "lora" not in words["Chance to lie on the frontier"], "one seed is not compared"
    assert not drawing.quoted


def test_the_words_under_a_chart_give_the_chances_of_the_table(tmp_path: Path) -> None:
    for number, (method, wrong) in enumerate((("lora", 50), ("pst", 90), ("random_mask", 48), ("full", 46))):
        for seed in range(3):
            made = Made(method, seed=seed, trained=1_000 * (number + 1))
            made.items = {made.task: answers(120, wrong + 2 * number * seed, 7 * number + seed)}
            made.write(tmp_path)
    (sheet,) = Site.of(load_records([tmp_path])).sheets
    _, words = sst2(tmp_path)
    shown = 0
    for group in sheet.studies["glue/sst2"].groups:
        for entry in group.entries:
            assert entry.frontier_chance is not None
            if entry.frontier_chance >= 0.05:
                assert f"{entry.name} {percent(entry.frontier_chance)}" in words["Chance to lie on the frontier"]
                shown += 1
    assert shown >= 3


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    for method, trained in (("lora", 10_000), ("full", 200_000)):
        made = Made(method, trained=trained)
        made.items = {made.task: answers(40, 4, trained)}
        made.write(tmp_path)
    drawing, words = sst2(tmp_path)
    assert drawing.band == ()
    assert "Chance to lie on the frontier" not in words


def test_papers_numbers_are_rings_in_the_colour_of_their_method(tmp_path: Path) -> None:
    made = Made(**ROBERTA)
    made.items = {made.task: answers(40, 4)}
    made.write(tmp_path)
    drawing, words = sst2(tmp_path)
    rings = {(one.name, one.x): one for one in drawing.quoted}
    lora = rings["LoRA r=8 q,v", 300_000]
    assert lora.hue == 3
    assert lora.y == pytest.approx(95.1)
    assert ("Source", "LoRA paper, Table 2 (arXiv v2), median of 5 seeds (own runs)") in lora.words
    assert rings["BitFit prior work", 100_000].hue is None, "no method of this site"
    assert "Reported by papers, double rings" in words


@pytest.mark.parametrize(("share", "text"), [(1.0, ">99"), (0.996, ">99"), (0.5, "50"), (0.05, "5"), (0.001, "<1")])
def test_nothing_is_certain(share: float, text: str) -> None:
    assert percent(share) == f"{text}\u00a0%"


def test_what_a_smaller_one_beats_clearly_is_out_of_reach() -> None:
    ends = {"a": (10, 0.5, 0.6), "b": (10, 0.7, 0.8), "c": (20, 0.6, 0.69), "d": (20, 0.6, 0.71), "e": (5, 0.1, 0.2)}
    assert in_reach(ends) == ["e", "b", "d"]
    assert in_reach({}) == []


def test_sentences_are_sentences(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    (section,) = Site.of(load_records([tmp_path])).sections
    column = section.columns[0]
    _, sentences = surroundings(task_drawing(section, column, NUMBERS), section, column, NUMBERS)
    assert all(one.text.endswith(".") for one in sentences)
    assert sentences
