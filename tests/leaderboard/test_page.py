"""The pages: exact facts of a small board, hostile input, and equal bytes for equal records."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import html5lib
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from harness.record import EpochMetrics, Failure, Record
from leaderboard.page import build_board
from leaderboard.state import STATE
from tests.leaderboard.making import Judged, Made, answers, card
from tests.leaderboard.small_board import TASKS, words, write_small_board

BEST = ("random_mask", "227132", "glue/sst2")


def rows(page: Path) -> dict[str, dict[str, str]]:
    """Return the large table: a row's method and details to the texts of its cells by column."""
    document = html5lib.parse(page.read_text(encoding="utf-8"), namespaceHTMLElements=False)
    table = next(one for one in document.iter("table") if one.attrib.get("id") == "board")
    keys = [cell.attrib["data-key"] for cell in table.find("thead/tr")]
    found = {}
    for row in table.iterfind("tbody/tr"):
        texts = [" ".join("".join(cell.itertext()).replace("\u00a0", " ").split()) for cell in row]
        assert len(texts) == len(keys)
        if row.attrib.get("class") != "slice":
            facts = dict(zip(keys, texts, strict=True))
            found[f"{facts['method']} {facts['trained']}"] = facts
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built small board."""
    folder = tmp_path_factory.mktemp("board")
    write_small_board(folder / "records")
    summary = build_board([folder / "records"], folder / "site")
    assert summary.page == folder / "site" / "index.html"
    assert (summary.num_records, summary.unreadable) == (21, [])
    return folder / "site"


def test_the_head_counts_what_the_page_stands_on(site: Path) -> None:
    text = words(site / "index.html")
    assert "21 final runs · 21 attempts · 2 not ok · records.csv · cells.csv · records.json" in text


def test_cells_hold_mean_interval_rank_and_why_they_are_not_ranked(site: Path) -> None:
    found = rows(site / "index.html")
    # 10, 11 and 12 wrong answers of 100.
    best = found["random_mask 227,132 1 %"]
    assert re.fullmatch(r"89\.0 \d\d\.\d–9\d\.\d", best["glue/sst2"])
    assert (best["budget"], best["stored_bits"], best["head"]) == ("1 %", "7,268,224", "770")
    single = found["lora rank 8 9,000 0.04 %"]
    assert re.fullmatch(r"85\.0 \d\d\.\d–9\d\.\d items only", single["glue/sst2"])
    assert single["glue/cola"] == "—"
    text = words(site / "index.html")
    assert "glue/cola Matthews correlation n = 100 chance 0.000 carved data" in text
    assert "glue/sst2 accuracy, % n = 100 chance 50.0" in text


def test_what_has_no_result_says_so_in_its_cell(site: Path) -> None:
    found = rows(site / "index.html")
    assert [found["full —"][task] for task in TASKS] == ["diverged", "—"]
    assert [found["pst —"][task] for task in TASKS] == ["n/a", "—"]


def test_rows_stand_by_budget_and_nothing_is_numbered_as_a_rank(site: Path) -> None:
    assert [name.split()[0] for name in rows(site / "index.html")] == [
        "head_only", "random_mask", "lora", "random_mask", "full", "pst",
    ]  # fmt: skip
    text = words(site / "index.html")
    for heading in ("Nothing trained but the head 1 entry", "2,271 to 227,132 parameters 3 entries, each alone"):
        assert heading in text
    assert "<u>" not in (site / "index.html").read_text()  # no entry has another at its budget


def test_each_chart_has_a_drawing_and_a_summary_in_words(site: Path) -> None:
    page, text = (site / "index.html").read_text(), words(site / "index.html")
    assert len(re.findall(r'<svg[^>]* role="img"|<svg role="img"', page)) == 2
    assert "Highest mean: random_mask 1 %, 89.0 [" in text
    assert "Not compared, one seed: lora rank 8." in text
    assert "Told apart from it, lower: random_mask 0.01 % (10.0) and head_only (30.0)." in text
    verdict = "A verdict is corrected for every entry here, at whatever budget, and for the choice of the best (5 %)"
    assert text.count(verdict) == 2
    assert "Frontier of the means: head_only, random_mask 0.01 % and random_mask 1 %" in text
    assert "No number: full and pst 10." in text


def test_a_seed_that_a_row_lacks_is_named_and_the_row_is_drawn_hollow_and_not_compared(tmp_path: Path) -> None:
    for seed in range(3):
        for method, wrong in (("bitfit", 30), ("lora", 40), ("full", 10)):
            if (method, seed) != ("full", 2):
                made = Made(method, seed=seed, trained=10 * wrong, items={"glue/sst2": answers(100, wrong, seed)})
                made.write(tmp_path / "records")
    page = build_board([tmp_path / "records"], tmp_path / "site").page
    text, found = words(page), rows(page)
    assert found["full 100 0.00044 %"]["glue/sst2"].endswith(" 2 of 3 seeds")
    assert re.fullmatch(r"60\.0 b \d\d\.\d–\d\d\.\d 2", found["lora 400 0.0018 %"]["glue/sst2"])
    assert "Highest mean: bitfit, 70.0 [" in text
    assert "Not compared, 2 of 3 seeds: full." in text
    assert page.read_text().count('fill="var(--ground)"') == 1


def test_runs_without_result_are_listed_with_reason_and_link(site: Path) -> None:
    page, text = (site / "failures.html").read_text(), words(site / "failures.html")
    assert "diverged full glue/sst2 0 small 1 Diverged: loss is NaN" in text
    run_id = Made("full").run_id
    assert f'<a href="runs/{run_id}.html"><code>{run_id[:8]}</code></a>' in page


def test_every_link_and_anchor_leads_somewhere_and_nothing_is_fetched(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 23
    num_links = 0
    for page in pages:
        text = page.read_text()
        assert not re.search(r'<script(?! src="[./]*static/\w+\.js"( defer)?></script>)', text)
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        for link in re.findall(r'(?:href|src)="([^"]*)"', text):
            target, _, anchor = link.partition("#")
            num_links += 1
            if not target.startswith("data:"):
                file = (page.parent / target) if target else page
                assert file.is_file(), link
                assert not anchor or f'id="{anchor}"' in file.read_text()
    assert num_links > 80


def test_downloads_hold_every_number(site: Path) -> None:
    lines = list(csv.DictReader((site / "records.csv").read_text(encoding="utf-8").splitlines()))
    assert len(lines) == 21
    (one,) = (line for line in lines if line["method"] == "lora")
    assert (one["metric"], one["value"], one["headline"], one["trained"]) == ("accuracy", "0.85", "1", "9000")
    (bad,) = (line for line in lines if line["status"] == "diverged")
    assert (bad["value"], bad["reason"], bad["trained"]) == ("", "loss is NaN", "")
    cells = list(csv.DictReader((site / "cells.csv").read_text(encoding="utf-8").splitlines()))
    assert len(cells) == 6 * 2
    (best,) = (line for line in cells if (line["method"], line["trained"], line["task"]) == BEST)
    assert (best["mean"], best["seeds"], best["items"], best["compared"]) == ("0.89", "0 1 2", "100", "1")
    content = json.loads((site / "records.json").read_text())
    assert len(content["records"]) == 21
    assert content["stale"] == {}


def test_equal_records_give_equal_bytes_whatever_their_order(tmp_path: Path, site: Path) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        files = [file for file in folder.rglob("*") if file.is_file() and file.name != STATE]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    records = site.parent / "records"
    halves = [tmp_path / "b", tmp_path / "a"]
    for number, run in enumerate(sorted(records.iterdir())):
        shutil.copytree(run, halves[number % 2] / run.name)
    shutil.copytree(run, halves[0] / run.name, dirs_exist_ok=True)
    for name, folders in (("one", halves), ("two", halves[::-1])):
        build_board(folders, tmp_path / name)
    build_board([records], tmp_path / "one")
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(site)


def test_pages_of_records_that_are_gone_go_too_and_nothing_else(tmp_path: Path) -> None:
    gone = Made(seed=1, items={"glue/sst2": answers(10, 2)})
    gone.write(tmp_path / "records")
    Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    old, own = (tmp_path / "site" / "runs" / name for name in (f"{gone.run_id}.html", "notes.html"))
    own.write_text("not ours")
    assert old.exists()
    shutil.rmtree(tmp_path / "records" / gone.run_id)
    build_board([tmp_path / "records"], tmp_path / "site")
    assert not old.exists()
    assert own.exists()


def test_a_list_of_written_files_cannot_reach_beyond_the_site(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    precious = tmp_path / "precious.txt"
    precious.write_text("keep")
    state = json.loads((tmp_path / "site" / STATE).read_text())
    state |= {"written": ["../precious.txt", str(precious)], "inputs": ""}
    (tmp_path / "site" / STATE).write_text(json.dumps(state))
    build_board([tmp_path / "records"], tmp_path / "site")
    assert precious.exists()


def test_an_unchanged_board_is_left_alone_and_any_change_builds_it_anew(tmp_path: Path) -> None:
    records, site = tmp_path / "records", tmp_path / "site"
    made = Made(items={"glue/sst2": answers(10, 2)})
    place = made.write(records)
    first = build_board([records], site)

    def builds(judge: Judged | None = None) -> bool:
        before = (site / "index.html").stat().st_mtime_ns
        assert build_board([records], site, judge).page == first.page
        return (site / "index.html").stat().st_mtime_ns != before

    assert not builds()
    Made(seed=1, items={"glue/sst2": answers(10, 1)}).write(records)
    assert builds()
    assert not builds()
    assert builds(Judged({made.run_id: "moved on"}))
    assert not builds(Judged({made.run_id: "moved on"}))
    (site / "runs" / f"{made.run_id}.html").unlink()
    assert builds()
    (site / "index.html").write_text("edited")
    assert builds()
    (place / "record.json").unlink()
    assert builds()
    assert build_board([records], site).num_records == 1


def test_an_unchanged_board_is_neither_read_nor_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*")}

    before = times()
    monkeypatch.delattr("leaderboard.page._build")  # what reads, ranks and renders
    assert build_board([tmp_path / "records"], tmp_path / "site").num_records == 1
    assert times() == before
    assert len(before) > 20


def test_what_could_not_be_read_is_named_again_when_nothing_changed(tmp_path: Path) -> None:
    (Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records") / "record.json").write_text("{}")
    first, second = (build_board([tmp_path / "records"], tmp_path / "site") for _ in range(2))
    assert first == second
    assert len(second.unreadable) == 1


def test_html_in_records_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script>\"&{{7*7}}"
    cards = {"glue/sst2": card("glue/sst2") | {"title": evil}}
    items = {"glue/sst2": answers(20, 3)}
    for seed in range(2):
        validation = [EpochMetrics(epoch=1, train_loss=1.0, validation_loss=None, metrics={evil: None})]
        made = Made(
            evil, {evil: evil}, seed=seed, suite=evil, cards=cards, items=items, state=evil, validation=validation
        )
        made.notes, made.environment = [evil], {evil: evil, "torch": seed}
        made.write(tmp_path / "records")
    error = Failure(kind=evil, message=evil, log_tail=(evil,))
    bad = Made(evil, seed=7, suite=evil, cards=cards, status="failed", error=error)
    bad.write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site", Judged({bad.run_id: evil}))
    pages, told = list((tmp_path / "site").rglob("*.html")), 0
    assert len(pages) >= 5
    for page in pages:
        text = page.read_text()
        assert not re.search(r'<script(?! src="[./]*static/\w+\.js"( defer)?></script>)', text)
        told += "alert(&#39;1&#39;)" in text
        assert "49" not in words(page)
    assert told >= 5


def test_stale_unreadable_and_selected_on_the_reported_split_are_said(tmp_path: Path) -> None:
    records = tmp_path / "records"
    items = {"glue/sst2": answers(20, 3)}
    made = Made(items=items, spec={"policy": "as_published"})
    made.write(records)
    (Made(seed=1, items=items).write(records) / "record.json").write_text('{"schema_version": 1, "run')
    summary = build_board([records], tmp_path / "site", Judged({made.run_id: "tasks/glue.py has changed"}))
    assert (summary.num_records, len(summary.unreadable)) == (1, 1)
    text = words(summary.page)
    assert "Selected on the reported split, as the papers did" in text
    assert rows(summary.page)["lora 22,000 0.097 %"]["glue/sst2"].endswith(" stale")
    text = words(tmp_path / "site" / "failures.html")
    assert "measured with code or card versions that are not today’s" in text
    assert "remove its attempt folder, or restore the file" in text
    assert "tasks/glue.py has changed 1 run" in text
    assert "JSONDecodeError" in text
    run_page = words(tmp_path / "site" / "runs" / f"{made.run_id}.html")
    assert "Stale: tasks/glue.py has changed" in run_page


def test_no_record_at_all_is_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    summary = build_board([tmp_path / "records"], tmp_path / "site")
    assert "There is no record here yet." in words(summary.page)
    assert summary.num_records == 0


def test_ties_are_shown_as_equals(tmp_path: Path) -> None:
    for method in ("bitfit", "lora"):
        for seed in range(3):
            Made(method, seed=seed, items={"glue/sst2": answers(100, 20, seed)}).write(tmp_path / "records")
    text = words(build_board([tmp_path / "records"], tmp_path / "site").page)
    assert "Not told apart from it: lora (0.0)." in text
    assert "Frontier of the means: bitfit and lora" in text


def test_matrices_are_multiplied_by_one_thread_as_more_would_change_the_last_bits(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watching(Judged):
        def stale(self, records: Iterable[Record]) -> Mapping[str, str]:
            seen.extend(num_threads())
            return super().stale(records)

    def num_threads() -> list[int]:
        return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]

    Made(items={"glue/sst2": answers(10, 2)}).write(tmp_path / "records")
    with threadpool_limits(2, user_api="blas"):
        build_board([tmp_path / "records"], tmp_path / "site", Watching({}))
        assert 2 in num_threads()
    assert set(seen) == {1}


def test_the_board_loads_no_tensor_library() -> None:
    code = (
        "import sys, leaderboard.page; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'peft', 'evaluate') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
