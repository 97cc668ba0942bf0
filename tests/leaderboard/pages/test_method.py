"""The pages of methods."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.spec import Budget
from leaderboard.ladder import Reach
from leaderboard.load import load_records
from leaderboard.pages.method import pages, reach_text
from leaderboard.site import Site
from tests.leaderboard.making import TOTAL, Made, answers
from tests.leaderboard.small_board import visible, write_small_board
from tests.leaderboard.test_searches import bill, final

TASK = "glue/sst2"


def built(site: Site) -> dict[str, str]:
    return {page.path: page.to_bytes().decode() for page in pages(site)}


def test_there_is_a_page_for_each_method_with_its_rows_and_what_failed(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    found = built(Site.of(load_records([tmp_path])))
    assert set(found) == {f"methods/{name}.html" for name in ("full", "head_only", "lora", "pst", "random_mask")}
    text = visible(found["methods/random_mask.html"])
    assert re.search(r"0\.01 % 2,271 [\d.]+ \[", text)
    assert re.search(r"1 % 227,132 ", text)
    assert "12 runs" in text
    assert "All methods full head_only lora pst random_mask" in text
    assert "diverged 1 Diverged: loss is NaN" in visible(found["methods/full.html"])
    assert "not applicable 1 smallest is 3,000" in visible(found["methods/pst.html"])


def test_numbers_lead_to_their_lines_on_the_pages_of_tasks(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    site = Site.of(load_records([tmp_path]))
    (sheet,) = site.sheets
    row = next(row for row in sheet.section.rows if row.method == "lora")
    assert f'href="../tasks/glue--sst2.html#{sheet.anchor(row)}"' in built(site)["methods/lora.html"]


def test_a_card_is_shown_with_safe_links_only(tmp_path: Path) -> None:
    facts = {"title": "Low rank", "paper": "Hu et al.", "url": "https://example.org/x", "code": "javascript:alert(1)"}
    made = Made(items={TASK: answers(20, 3)}, method_card=facts | {"differs": ["no <dropout>"], "version": 1})
    made.write(tmp_path)
    markup = built(Site.of(load_records([tmp_path])))["methods/lora.html"]
    assert '<a href="https://example.org/x" rel="noopener nofollow">Hu et al.</a>' in markup
    assert 'href="javascript' not in markup
    assert "no &lt;dropout&gt;" in markup


def test_budget_curves_tell_area_and_how_near_they_come_to_full(tmp_path: Path) -> None:
    entries = [("base", None, 0, 150), ("full", None, TOTAL, 30), ("random_mask", 1_000, 1_000, 100)]
    for seed in range(3):
        for method, asked, trained, wrong in [*entries, ("random_mask", 100_000, 100_000, 32)]:
            budget = Budget(count=asked) if asked else None
            made = Made(method, seed=seed, budget=budget, trained=trained)
            made.items = {TASK: answers(300, wrong + seed, seed)}
            made.write(tmp_path)
    found = built(Site.of(load_records([tmp_path])))
    text = visible(found["methods/random_mask.html"])
    assert re.search(r"glue/sst2 random_mask 2 1,000 66\.3 \[.*?\] 100,000 89\.0 \[.*?\] 77\.7 \[", text)
    assert re.search(r"\] \d\d,\d\d\d \[[\d,]+, (over )?[\d,]+\] not reached", text)
    assert "Budget curve" not in visible(found["methods/full.html"])


def test_rates_edges_and_the_bill_of_a_search_are_shown(tmp_path: Path) -> None:
    for seed in range(2):
        final(seed, bill()).write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["methods/lora.html"])
    assert "glue/sst2 1 % 0.001 1 0 70.0 —" in text
    assert "glue/sst2 1 % 0.01 1 2 83.3 85.0 edge lr 0.01 is the largest tried: better ones may lie beyond" in text
    assert "glue/sst2 lr lr 0.01 2 6 12.5 s halton, at 1 %; chosen on validation" in text


def test_a_method_with_trials_alone_has_a_page(tmp_path: Path) -> None:
    trial = final(0, None)
    trial.spec |= {"purpose": "trial"}
    trial.write(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["methods/lora.html"])
    assert "Only search trials so far" in text
    assert "1 run, 1 search trial among them" in text


@pytest.mark.parametrize(
    ("reach", "text"),
    [
        (Reach(0.95, 0.9, 5e4, 1e4, 9e4, 1.0, "reached"), "50,000 [10,000, 90,000]"),
        (Reach(0.95, 0.9, 5e4, 1e4, None, 0.9, "reached"), "50,000 [10,000, over 227,132]"),
        (Reach(0.95, 0.9, 9e4, None, None, 0.01, "reached"), "90,000 [over 227,132, over 227,132]"),
        (Reach(0.95, 0.9, 1e3, 1e3, 1e3, 1.0, "at the smallest budget or below"), "1,000 or fewer [1,000, 1,000]"),
        (Reach(0.95, 0.9, 5e4, None, None, None, "reached"), "50,000"),
        (Reach(0.95, 0.9, None, None, None, 0.0, "not reached"), "not reached"),
    ],
)
def test_reaching_is_worded(reach: Reach, text: str) -> None:
    assert reach_text(reach, 227_132.0).replace("\u00a0", " ") == text


def write_choices(folder: Path) -> None:
    """Write one method with two values at one budget, each with a learning rate of its own, and full fine-tuning."""
    for seed in range(3):
        for method, values, rate, wrong in (
            ("fish", {"samples": "16"}, 1e-3, 90),
            ("fish", {"samples": "256"}, 1e-2, 31),
            ("full", {}, 1e-3, 30),
        ):
            trained = TOTAL if method == "full" else 1_000
            made = Made(method, values, seed=seed, trained=trained, spec={"training": {"lr": rate}})
            made.items = {TASK: answers(300, wrong + seed, seed)}
            made.write(folder)


def test_curves_of_one_budget_are_told_apart_where_they_come_near_full(tmp_path: Path) -> None:
    write_choices(tmp_path)
    text = visible(built(Site.of(load_records([tmp_path])))["methods/fish.html"])
    assert re.search(r"glue/sst2 fish samples 16 1 1,000 .*? one budget not reached not reached glue/sst2", text)
    assert re.search(r"glue/sst2 fish samples 256 1 1,000 .*? one budget 1,000 or fewer", text)


def test_rates_without_another_beside_them_are_a_list_of_what_they_were_for(tmp_path: Path) -> None:
    write_choices(tmp_path)
    found = built(Site.of(load_records([tmp_path])))
    text = visible(found["methods/fish.html"])
    assert (
        "Used without another beside it: 0.001 on glue/sst2, for samples 16 0.01 on glue/sst2, for samples 256" in text
    )
    assert "Used without another beside it: 0.001 on glue/sst2 3 runs" in visible(found["methods/full.html"])
