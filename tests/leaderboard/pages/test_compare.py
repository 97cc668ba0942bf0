"""The compare pages: the basket's data, plain tables against the best, and the basket in a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard.load import load_records
from leaderboard.page import build_board
from leaderboard.pages.compare import pages, script_json
from leaderboard.site import Site
from tests.leaderboard.browsing import expect
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import visible, write_small_board

NATURAL = """() => {
    const select = document.querySelector("select[name=entry-A]")
    select.options[1].text = "sparse_update choose fishmask, dropout 0.1, update every 100 steps (227,132 trained)"
    return select.clientWidth
}"""
"""The width of a box with a long name, in pixels."""


def made(folder: Path) -> dict[str, str]:
    """Return path to text of every compare page of some records."""
    site = Site.of(load_records([folder]), {})
    return {page.path: page.to_bytes().decode() for page in pages(site)}


def data(text: str) -> Any:
    """Return what a data file hands over."""
    found = re.fullmatch(r"\(self\.paretunePairs \|\|= \[\]\)\.push\((.*)\);\n", text)
    assert found
    return json.loads(found[1])


def test_a_section_has_a_plain_table_and_its_data(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    found = made(tmp_path)
    (plain,) = (visible(text) for path, text in found.items() if path.startswith("compare/"))
    assert re.search(r"random_mask 1 % 227,132 [^\[]*\[.*?\] .*? 89\.0 \[\d\d\.\d, \d\d\.\d\] best mean", plain)
    assert re.search(r"random_mask 0\.01 % 2,271 .*−10\.0 \[−\d+\.\d, −?\d\.\d\] \d+ won, \d+ lost", plain)
    assert re.search(r"lora rank 8 9,000 — not run −\d\.\d \[.*?\] \d+ won, \d+ lost one seed", plain)
    assert "full — — not run — diverged" in plain
    assert "not corrected" in plain
    hub = visible(found["compare.html"])
    assert "small package:tiny/model classify, held out 6 2" in hub
    assert "Choosing entries needs scripts." in hub
    (content,) = (data(text) for path, text in found.items() if path.startswith("data/"))
    assert [entry["name"].replace("\u00a0", " ") for entry in content["entries"]][0] == "head_only"
    (cola, sst2) = content["tasks"]
    assert (cola["name"], sst2["name"], sst2["decimals"], cola["decimals"]) == ("glue/cola", "glue/sst2", 1, 3)
    assert sst2["notes"][-1] == "not applicable"
    first, second, gap, low, high, p_value, won, lost, ground = sst2["pairs"][0]
    assert (first, second, gap) == (0, 1, -20.0)
    assert low < gap < high < 0
    assert p_value < 0.05
    assert won < lost
    assert sst2["grounds"][ground] == [3, 100, "seeds and items"]
    assert content["complete"]


def test_a_board_without_records_still_has_the_page(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.keys() == {"compare.html"}
    assert "There is no entry here yet." in visible(found["compare.html"])


def test_nothing_a_stranger_wrote_leaves_its_place(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!--"
    for method in (evil, "lora"):
        Made(method, {evil: evil}, suite=evil, items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    found = made(tmp_path)
    assert len(found) == 5
    for path, text in found.items():
        if path.endswith((".html", ".js")):
            assert "alert(1)</script>" not in text
            assert "<!--" not in text
        assert re.fullmatch(r"[a-z0-9_./-]+", path)
    assert script_json(["<&>"]) == '["\\u003c\\u0026\\u003e"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a real browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built small board, beside a second suite."""
    folder = tmp_path_factory.mktemp("compare")
    write_small_board(folder / "records")
    for method in ("bitfit", "lora"):
        Made(method, suite="other", items={"glue/rte": answers(20, 3)}, task="glue/rte").write(folder / "records")
    build_board([folder / "records"], folder / "site")
    return folder / "site"


@pytest.mark.browser
def test_entries_are_picked_on_the_board_and_compared(browser: Any, site: Path) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "index.html").as_uri())
    tray = page.locator(".tray")
    assert not tray.is_visible()
    page.get_by_label("Compare random_mask 1 %").check()
    assert tray.locator("a.go").get_attribute("href") is None
    page.get_by_label("Compare random_mask 0.01 %").check()
    page.get_by_label("Compare lora rank 8").check()
    assert tray.locator("li").count() == 3
    page.reload()
    assert tray.locator("li").count() == 3
    tray.get_by_role("link", name="Compare 3 entries").click()
    page.wait_for_selector("#basket h2")
    text = " ".join(page.locator("#basket").inner_text().split())
    assert "A random_mask 1 % against B random_mask 0.01 %" in text
    assert re.search(
        r"glue/sst2 accuracy, % 10\.0 \[\d+\.\d, \d+\.\d\] A higher, this pair alone (< )?0\.\d+ \d+ \d+ 3, 100", text
    )
    assert "No pair: lora rank 8: not run." in text
    assert "not corrected" in text
    assert page.locator("#basket h2").count() == 3
    address = page.url
    other = browser.new_context().new_page()
    other.goto(address)
    other.wait_for_selector("#basket h2")
    assert other.locator("#basket h2").count() == 3
    other.select_option("select[name=entry-C]", "")
    expect(other.locator("#basket h2")).to_have_count(1)
    assert other.url.count(",") == 1
    assert errors == []


@pytest.mark.browser
def test_a_pair_says_whether_the_board_tells_it_apart(browser: Any, tmp_path: Path) -> None:
    for method, wrong in (("lora", 10), ("pst", 12), ("goft", 60)):
        for seed in range(3):
            items = {"glue/sst2": answers(200, wrong + seed, 100 * wrong + seed)}
            Made(method, seed=seed, items=items).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    (content,) = (data(path.read_text()) for path in (tmp_path / "site" / "data").iterdir() if path.suffix == ".js")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    chosen = ",".join(entry["id"] for entry in sorted(content["entries"], key=lambda entry: entry["name"]))
    page.goto((tmp_path / "site" / "compare.html").as_uri() + f"#section={content['id']}&entries={chosen}")
    page.wait_for_selector("#basket h2")
    text = " ".join(page.locator("#basket").inner_text().split())
    assert re.search(r"B minus C.* not told apart not told apart on the board", text)
    assert re.search(r"A minus B, .*? B higher, this pair alone told apart on the board", text)
    assert "better" not in text
    assert "Letters on the board are corrected for all pairs at a budget." in text
    assert page.evaluate(NATURAL) > 400


@pytest.mark.browser
def test_a_comparison_is_downloaded_as_it_is_shown(browser: Any, site: Path) -> None:
    (content,) = (data(path.read_text()) for path in (site / "data").iterdir() if "small" in path.name)
    chosen = {entry["name"].replace("\u00a0", " "): entry["id"] for entry in content["entries"]}
    asked = [chosen[name] for name in ("random_mask 1 %", "random_mask 0.01 %", "full")]
    page = browser.new_page()
    page.goto((site / "compare.html").as_uri() + f"#section={content['id']}&entries={','.join(asked)}")
    texts = {}
    for label in ("CSV", "JSON"):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=f"Differences as {label}").click()
        assert waiting.value.suggested_filename == f"compare-{content['id']}.{label.lower()}"
        texts[label] = Path(waiting.value.path()).read_text(encoding="utf-8")
    lines, rows = json.loads(texts["JSON"]), list(csv.DictReader(io.StringIO(texts["CSV"])))
    assert len(lines) == len(rows) == 3 * (len(content["tasks"]) + len(content["averages"]))
    (line,) = (one for one in lines if one["task"] == "glue/sst2" and one["second"].endswith("0.01\u00a0%"))
    assert line["difference"] == pytest.approx(0.1)
    assert line["low"] < 0.1 < line["high"]
    assert (line["seeds"], line["items"], line["note"]) == (3, 100, None)
    assert [float(row["difference"]) for row in rows if row["difference"]] == [
        one["difference"] for one in lines if one["difference"] is not None
    ]
    (lacking,) = (one for one in lines if one["task"] == "glue/sst2" and one["first"].endswith("0.01\u00a0%"))
    assert (lacking["difference"], lacking["note"]) == (None, "full: diverged")


@pytest.mark.browser
def test_an_address_that_names_nothing_here_says_so_and_four_are_the_most(browser: Any, site: Path) -> None:
    page = browser.new_page()
    page.goto((site / "compare.html").as_uri() + "#section=gone&entries=<b>,x")
    assert "not on this board" in page.locator("#basket").inner_text()
    (section,) = (path.stem for path in (site / "compare").iterdir() if path.stem.startswith("small"))
    page.goto((site / "compare.html").as_uri() + f"#section={section}&entries=%3Cb%3E,x")
    page.wait_for_selector("#basket .warning")
    assert "Not in this table: <b>, x." in page.locator("#basket").inner_text()
    page.goto((site / "index.html").as_uri())
    for box in page.locator("input.pick").all()[:4]:
        box.check()
    page.locator("input.pick").nth(4).click()
    assert not page.locator("input.pick").nth(4).is_checked()
    assert "At most 4 entries" in page.locator("body").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_a_reader_out_of_a_comparison_that_fits_a_phone(browser: Any, site: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    (content,) = (data(path.read_text()) for path in (site / "data").iterdir() if "small" in path.name)
    chosen = ",".join(entry["id"] for entry in content["entries"][:4])
    page = browser.new_page(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.goto((site / "compare.html").as_uri() + f"#section={content['id']}&entries={chosen}")
    page.wait_for_selector("#basket h2")
    assert page.locator("#basket h2").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []


@pytest.mark.browser
def test_without_scripts_the_page_leads_to_plain_tables(browser: Any, site: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto((site / "compare.html").as_uri())
    assert "Choosing entries needs scripts" in page.locator("main").inner_text()
    assert not page.locator("#basket").is_visible()
    page.locator("main table a").first.click()
    assert "Every entry against the best" in page.locator("h1").inner_text()
