"""The pages of tasks."""

from __future__ import annotations

import re
from pathlib import Path

from harness.record import EpochMetrics, Failure
from leaderboard.load import load_records
from leaderboard.pages.task import pages
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import visible, write_small_board

TASK = "glue/sst2"


def built(site: Site) -> dict[str, str]:
    return {page.path: page.to_bytes().decode() for page in pages(site)}


def test_there_is_a_page_for_each_task_with_each_entry_of_each_section(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    found = built(site)
    assert set(found) == {"tasks/glue--cola.html", "tasks/glue--sst2.html"}
    text = visible(found["tasks/glue--sst2.html"])
    for fact in (
        "Metric accuracy, % Better is higher Chance 50.0 Best possible 100.0 Data complete",
        "lora rank 8",
        "0 85.0",  # its one seed
        "not run: seed 1, 2",
        "diverged , seed 0 : Diverged: loss is NaN",
        "not applicable , seed 0 : smallest is 3,000",
        "Highest mean: random_mask 1 %, 89.0",
    ):
        assert fact in text, fact
    (sheet,) = site.sheets
    for row in sheet.section.rows:
        assert (f'id="{sheet.anchor(row)}"' in found["tasks/glue--sst2.html"]) == bool(row.cells[TASK].runs)


def test_ranked_entries_show_letters_ranks_chances_and_what_could_be_seen(tmp_path: Path) -> None:
    for method, wrong in (("lora", 10), ("pst", 12), ("goft", 60)):
        for seed in range(3):
            items = {TASK: answers(200, wrong + seed, 100 * wrong + seed)}
            Made(method, seed=seed, items=items).write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
    assert "lora has the best mean, and is not told apart from pst; goft is worse than lora beyond chance" in text
    assert re.search(r"a true gap of \d+\.\d points to the best would be found for the median entry in 80 % of", text)
    assert re.search(r"lora 22,000 a 94\.5 \[[\d.]+, [\d.]+\] 1–2 \d+ % >?\d+ % best 0 95\.0 1 94\.5 2 94\.0", text)
    assert re.search(r"goft 22,000 [bc] 69\.5 \[[\d.]+, [\d.]+\] 3 <1 % <1 % 25\.0 \[", text)


def test_a_board_of_one_seed_has_no_columns_of_ranks(tmp_path: Path) -> None:
    for method in ("lora", "pst"):
        Made(method, items={TASK: answers(20, 3)}).write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
    assert "P(best)" not in text
    assert "items only" in text


def test_versions_data_states_notes_and_cards_of_strangers_are_told(tmp_path: Path) -> None:
    evil = "javascript:alert(1)"
    new = card(TASK) | {"version": 2, "paper": "A Paper", "url": evil, "licence": "<b>free</b>"}
    Made(cards={TASK: card(TASK)}, items={TASK: answers(20, 3)}).write(tmp_path)
    made = Made(seed=1, cards={TASK: new}, items={TASK: answers(20, 3)}, state="carved", notes=["2 texts were cut"])
    made.write(tmp_path)
    markup = built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"]
    text = visible(markup)
    assert "Version 1, in 1 run: differs from the newest in licence, paper, url." in text
    assert "Data carved in 1 run, complete in 1 run" in text
    assert "2 texts were cut (1 run)" in text
    assert "superseded" in text
    assert "A Paper" in text
    assert evil not in markup
    assert "<b>free" not in markup


def test_a_card_changed_under_its_number_is_told_from_an_older_version(tmp_path: Path) -> None:
    Made(cards={TASK: card(TASK)}, items={TASK: answers(20, 3)}).write(tmp_path)
    Made(seed=1, cards={TASK: card(TASK) | {"licence": "free"}}, items={TASK: answers(20, 3)}).write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
    assert "Version 1 in other words, in 1 run: says something else than the card above of licence. It has" in text
    assert "differs from the newest" not in text
    assert "Runs of another version number" not in text


def test_links_to_the_boards_of_a_task_stand_under_a_heading(tmp_path: Path) -> None:
    for seed, suite in enumerate(("one", "two")):
        Made(suite=suite, seed=seed, items={TASK: answers(20, 3)}).write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
    assert "On these boards one package:tiny/model, classify, held out; 1 row two" in text


def test_a_task_with_trials_alone_and_one_without_a_card_have_pages(tmp_path: Path) -> None:
    epochs = [EpochMetrics(epoch=1, train_loss=1.0, validation_loss=None, metrics={"accuracy": 0.5})]
    items = {TASK: answers(20, 3)}
    Made(spec={"purpose": "trial"}, validation=epochs, status="lost", error=Failure(kind="x", message="y")).write(
        tmp_path
    )
    text = visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
    assert "No final run scored this task" in text
    Made(items=items, cards={TASK: card(TASK) | {"title": ""}}).write(tmp_path)
    assert "lora" in visible(built(Site.of(load_records([tmp_path])))["tasks/glue--sst2.html"])
