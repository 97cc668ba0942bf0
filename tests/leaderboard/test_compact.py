"""Cells of the large table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record import Failure
from leaderboard.cells import Cell
from leaderboard.columns import Measure
from leaderboard.compact import chance, is_empty, letters, marks, ranks, score_cell, shared, span, value_cell
from leaderboard.load import load_records
from leaderboard.ranking import Place, letter
from leaderboard.statistics import Interval
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers

PERCENT = Measure("accuracy", True, "%", 0.5, 1.0)
TASK = "glue/sst2"
PLACE = Place("x", 0.9, ("a", "b"), 1, 3, 0.62, None, None, below_best=False)


def cell(folder: Path, *made: Made) -> Cell:
    for one in made:
        one.items = one.items or {TASK: answers(100, 10 + one.seed, one.seed)}
        one.write(folder)
    ((row,),) = [section.rows for section in tabulate(load_records([folder]).runs, {}).sections]
    return row.cells[TASK]


def test_a_ranked_score_holds_letters_interval_ranks_and_chance_in_few_bytes(tmp_path: Path) -> None:
    found = score_cell(cell(tmp_path, Made(), Made(seed=1)), PERCENT, PLACE, "tasks/glue--sst2.html#abcdefgh")
    assert found.startswith("<td class=t><a href=tasks/glue--sst2.html#abcdefgh>89.5</a> <b>ab</b> <i>")
    assert found.endswith("</i> <u>1–3</u> <small>62 %</small>")
    assert len(found.encode()) < 130
    short = score_cell(cell(tmp_path / "again", Made(), Made(seed=1)), PERCENT, PLACE._replace(letters=()), "")
    assert short.startswith("<td class=t><a>89.5</a> <i>")


def test_a_score_below_the_best_is_not_tinted_and_one_that_is_not_ranked_is_grey(tmp_path: Path) -> None:
    whole = cell(tmp_path, Made(), Made(seed=1))
    assert score_cell(whole, PERCENT, PLACE._replace(below_best=True), "").startswith("<td><a>")
    single = cell(tmp_path / "single", Made())
    assert score_cell(single, PERCENT, None, "").startswith("<td class=x><a>90.0</a> <i>")
    assert '<em title="one seed, so that' in score_cell(single, PERCENT, None, "")
    said = shared([single, single])
    assert list(said) == ["items only"]
    assert "<em" not in score_cell(single, PERCENT, None, "", said)
    assert shared([single]) == {}
    assert shared([single, whole]) == {}


def test_what_was_not_run_or_has_no_result(tmp_path: Path) -> None:
    assert is_empty(score_cell(Cell(TASK, (), ()), PERCENT, None, ""))
    failed = Made(status="out_of_memory", error=Failure(kind="E", message="m"))
    assert score_cell(cell(tmp_path, failed), PERCENT, None, "x.html#y") == "<td><a href=x.html#y class=n>memory</a>"


@pytest.mark.parametrize("num_seeds", [1, 2])
@pytest.mark.parametrize("outdated", [False, True])
def test_a_number_without_an_interval_says_so_and_why(tmp_path: Path, num_seeds: int, outdated: bool) -> None:
    found = cell(tmp_path, *(Made(seed=seed, items={TASK: answers(20, 0)}) for seed in range(num_seeds)))
    if outdated:
        found = replace(found, marks=("stale: tasks/glue.py has changed",))
    text = score_cell(found, PERCENT, None, "")
    assert text.startswith(
        '<td class=x><a>100.0</a> <i title="all items agree, so no spread is seen">no interval</i> <em'
    )
    assert "items only" not in text
    assert "no interval" in score_cell(found, PERCENT, None, "", dict(marks(found)))


def test_a_seed_without_a_result_is_named(tmp_path: Path) -> None:
    found = cell(tmp_path, Made(), Made(seed=1), Made(seed=2, status="failed", error=Failure(kind="E", message="m")))
    assert marks(found) == [("2 of 3 seeds", "2 of 3 seeds: not ranked"), ("failed", "seed 2")]


@given(st.text())
def test_whatever_is_said_stays_text(text: str) -> None:
    found = html5lib.parseFragment(f"<table><tr>{value_cell(text, note=text)}</table>", namespaceHTMLElements=False)
    assert {element.tag for element in found.iter() if isinstance(element.tag, str)} <= {
        "DOCUMENT_FRAGMENT", "table", "tbody", "tr", "td", "i",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([0], "a"),
        ([0, 1], "ab"),
        ([0, 1, 2], "a–c"),
        ([0, 2], "ac"),
        ([0, 2, 3, 4], "a c–e"),
        ([25, 26], "z aa"),
        ([], ""),
    ],
)
def test_letters_in_a_row_are_a_span(numbers: list[int], text: str) -> None:
    assert letters([letter(number) for number in numbers]) == text


def test_small_words() -> None:
    assert (chance(0.999), chance(0.62), chance(0.004)) == (">99 %", "62 %", "<1 %")
    assert ranks(PLACE._replace(rank_high=1)) == "1"
    assert span(Interval(0.5, 0.4, 0.61, 3, 9, ""), PERCENT) == "40.0–61.0"
    assert span(Interval(0.0, -0.1, 0.1, 3, 9, ""), PERCENT) == "\u221210.0 to 10.0"
    assert value_cell("1,000", 1000.0, "1 %", "m") == "<td class=m data-value=1000>1,000 <i>1 %</i>"
