"""A page for each run: its facts, its commands, and the items that it wins and loses."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import escape

from harness.record import EpochMetrics, Failure
from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.pages.run import NUM_LISTED, headline, p_text, pages, plots
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import visible, words


def text_of(folder: Path, made: Made) -> str:
    """Return the words of one run's page."""
    site = Site.of(load_records([folder]), {})
    (page,) = (page for page in pages(site) if made.run_id in page.path)
    return visible(page.to_bytes().decode())


def test_every_run_has_a_page_named_by_its_id(tmp_path: Path) -> None:
    made = [Made(seed=seed, items={"glue/sst2": answers(20, 3)}) for seed in range(3)]
    for one in made:
        one.write(tmp_path)
    site = Site.of(load_records([tmp_path]), {})
    assert {page.path for page in pages(site)} == {f"runs/{one.run_id}.html" for one in made}
    assert headline(site.runs[0], "glue/sst2")[0] == "accuracy"
    assert plots(site.runs[0]) == []
    text = text_of(tmp_path, made[1])
    assert "final run of seed 1 ; all seeds: 0 1 2" in text
    assert re.search(r"85\.0 % 85\.0 \[\d\d\.\d, \d+\.\d\], 3 seeds 20 0 complete", text)


def test_a_run_page_tells_the_whole_run_and_its_earlier_attempts(tmp_path: Path) -> None:
    records = tmp_path / "records"
    lost = Failure(kind="Lost", message="the worker was killed", log_tail=("step 3", "step 4"))
    losses = [(0.7, 0.68), (0.5, 0.6), (0.4, None)]
    validation = [
        EpochMetrics(epoch=number, train_loss=train, validation_loss=held, metrics={"accuracy": 0.5 + number / 10})
        for number, (train, held) in enumerate(losses, 1)
    ]
    items = {"glue/sst2": answers(20, 3)}
    made = Made(values={"rank": 8}, items=items, attempt=2, validation=validation, notes=["a note"])
    made.write(records)
    Made(values={"rank": 8}, attempt=1, status="lost", error=lost).write(records)
    build_board([records], tmp_path / "site")
    page = tmp_path / "site" / "runs" / f"{made.run_id}.html"
    text = words(page)
    for fact in (
        "lora on glue/sst2 ok final run of seed 0",
        "glue/sst2 validation accuracy headline 85.0 % 85.0 [67.9, 100.0], 1 seed, items only 20 0 complete",
        "1 lost 2025-01-01T10:00:00Z",
        "2 result ok",
        "Lost: the worker was killed",
        "values.rank 8",
        "training.lr 0.001",
        "Everything is as it is by default, but for what names the run.",
        "fit 41.2 s 92 %",
        "trained, without head 22,000",
        "torch 2.13.0",
        "epoch 3 was kept",
        "a note",
        "peak memory —",
        "size of the trained part —",
        "On a CPU, peak memory is the resident set of the whole worker, with what it keeps from earlier runs",
    ):
        assert fact in text, fact
    assert page.read_text().count('<polyline points="12') == 3
    assert "Why there is no result" not in text


def test_items_are_set_against_full_fine_tuning_and_the_nearest_of_the_usual_method(tmp_path: Path) -> None:
    references = [float(number % 2) for number in range(60)]

    def given(wrong: set[int]) -> dict[str, tuple[list[float], list[float]]]:
        return {"glue/sst2": ([1 - v if n in wrong else v for n, v in enumerate(references)], references)}

    ours = Made("bitfit", trained=1000, items=given({0, 1}))
    far, near = (Made("lora", {"rank": rank}, trained=100 * 9**rank, items=given({2})) for rank in (8, 1))
    full = Made("full", trained=22_713_216, items=given(set(range(30))))
    lost = Made("goft", status="lost", error=Failure(kind="Lost", message="gone", log_tail=("last <line>",)))
    for one in (ours, far, near, full, lost):
        one.write(tmp_path)
    text = text_of(tmp_path, ours)
    assert "glue/sst2 full trains all of N 28 0 32 < 0.001" in text
    assert "glue/sst2 lora rank 1 lora nearest in trained parameters 1 2 57 1.000" in text
    assert "lora rank 8" not in text
    assert "Items that differ from lora rank 1 on glue/sst2" in text
    assert "Here right, there wrong: glue/sst2:2" in text
    assert "Here wrong, there right: glue/sst2:0, glue/sst2:1" in text
    assert f"glue/sst2:{2 + NUM_LISTED - 1} and 8 more" in text
    assert "Item by item" not in text_of(tmp_path, lost)
    assert "The last lines of its log. last <line>" in text_of(tmp_path, lost)
    assert "glue/sst2 lora rank 8 lora nearest" in text_of(tmp_path, full)
    assert "lora rank 1 lora nearest" not in text_of(tmp_path, near)


def test_what_no_item_can_tell_is_said_and_groups_of_items_have_no_p_value(tmp_path: Path) -> None:
    cards = {"glue/stsb": card("glue/stsb", "pearson")}
    for number, method in enumerate(("bitfit", "full")):
        values = [0.5 * (n % 7) + number * (n % 3) for n in range(20)]
        made = Made(method, task="glue/stsb", cards=cards, items={"glue/stsb": (values, [0.5 * n for n in range(20)])})
        made.trained = 22_713_216 if method == "full" else 5
        made.write(tmp_path)
        clusters = [str(n // 2) for n in range(20)]
        grouped = Made(method, items={"glue/sst2": answers(20, 3, number)}, clusters=clusters, trained=made.trained)
        grouped.write(tmp_path)
    text = text_of(tmp_path, Made("bitfit", task="glue/stsb"))
    assert "full trains all of N Does not apply: Pearson correlation speaks of all items together, not of one." in text
    assert "none: items come in groups" in text_of(tmp_path, Made("bitfit"))


def test_the_commands_and_the_differences_stand_on_the_page(tmp_path: Path) -> None:
    made = Made(seed=3, suite="it's <b>", items={"glue/sst2": answers(20, 3)}, spec={"training": {"lr": 0.05}})
    made.write(tmp_path)
    site = Site.of(load_records([tmp_path]), {})
    (page,) = pages(site)
    source = page.to_bytes().decode()
    assert "training.lr 0.05 0.001" in visible(source)
    assert f"paretune reproduce {made.run_id} --out RECORDS" in source
    command = """paretune run 'it'"'"'s <b>' --only method=lora,task=glue/sst2,"""
    assert str(escape(command)) in source
    assert "style=" not in source
    assert "<b>'" not in source


def test_p_values_read_short() -> None:
    assert [p_text(value) for value in (None, 0.0004, 0.25)] == ["none: items come in groups", "< 0.001", "0.250"]
