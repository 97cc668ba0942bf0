"""The pages in a real browser, at the widths and in the schemes that readers have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaderboard.browsing import Browser, Watched, build_rich_board, chromium, kinds

pytestmark = pytest.mark.browser
METHODS_STAY = """() => {
    const table = document.querySelector("table.scores"), frame = table.parentElement
    table.style.width = "2000px"
    frame.scrollLeft = 500
    const left = element => element.getBoundingClientRect().left
    const names = [...table.querySelectorAll("th:first-child")]
    return frame.scrollLeft === 500 && names.every(name => left(name) === left(frame))
}"""
"""Whether the names of the rows are seen wherever the table is scrolled to."""

WITH_TEXT = """(element, text) => {
    element.textContent = text
    element.closest("table").style.minWidth = 0
    return [element.clientHeight, element.closest("th").clientWidth]
}"""
"""Height of an element with another text, and the width that its cell needs, in pixels."""

BEYOND_PAPER = """(width) => [...document.body.querySelectorAll("*")].filter(element =>
    element.checkVisibility() && !element.closest(".unseen") &&
    (element.scrollWidth > width || element.getBoundingClientRect().right > width + 1)
).map(element => element.outerHTML.slice(0, 120))"""
"""What is wider than the page or reaches past its right edge."""
FOLDED = """() => [...document.querySelectorAll("details")].filter(fold =>
    fold.checkVisibility() && [...fold.children].some(part =>
        part.tagName !== "SUMMARY" && !part.checkVisibility({ contentVisibilityAuto: true }))
).map(fold => fold.outerHTML.slice(0, 120))"""
"""Folds that do not show what they hold."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rich_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280, 2560])
def test_every_kind_of_page_fits_and_fetches_nothing(site: Path, browser: Browser, width: int, scheme: str) -> None:
    watched = Watched(browser, width, scheme)
    pages = kinds(site)
    assert len(pages) >= 4
    for path in pages:
        page = watched.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        assert page.evaluate("document.fonts.status") == "loaded"
    assert len(watched.requests) >= 2 * len(pages)
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    assert watched.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_follow_the_scheme_and_row_names_stay(site: Path, browser: Browser, scheme: str) -> None:
    page = Watched(browser, 400, scheme).open(site / "index.html")
    assert page.evaluate(METHODS_STAY)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


@pytest.mark.parametrize("page", ["index.html", "methods/lora.html"])
def test_a_long_metric_breaks_and_does_not_widen_its_column(site: Path, browser: Browser, page: str) -> None:
    unit = Watched(browser, 1440).open(site / page).locator("thead .unit", has_text="accuracy").first
    height, width = unit.evaluate(WITH_TEXT, "mean of Pearson correlation and Spearman correlation, %")
    assert height > 40
    assert width < 200


@pytest.mark.parametrize("name", ["sparse_update", "structured_mask"])
def test_a_method_is_one_word_on_a_phone(site: Path, browser: Browser, name: str) -> None:
    for path in ("index.html", "tasks/glue--sst2.html"):
        page = Watched(browser, 360).open(site / path)
        method = page.query_selector("tbody a.method")
        (short, _), (long, _) = (method.evaluate(WITH_TEXT, text) for text in ("pst", name))
        assert short == long, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [720, 1032])
def test_on_paper_pages_fit_and_every_fold_is_open(site: Path, browser: Browser, width: int) -> None:
    num_folds = 0
    for path in kinds(site):
        page = Watched(browser, width).open(path)
        page.emulate_media(media="print")
        assert page.evaluate(BEYOND_PAPER, width) == [], path.name
        assert page.evaluate(FOLDED) == [], path.name
        assert not page.locator("nav:visible, form:visible").count(), path.name
        num_folds += page.locator("details").count()
    assert num_folds > 5


def test_without_scripts_every_page_says_the_same(site: Path, browser: Browser) -> None:
    for path in kinds(site):
        page = Watched(browser, scripts=False).open(path)
        assert page.locator("main").inner_text().strip(), path.name
        assert page.locator("h1").count() == 1, path.name
        assert "oading" not in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_a_reader_out(site: Path, browser: Browser, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    assert (site / "methods/lora.html").read_text().count(">another</a></h2>") == 2
    assert site / "methods/lora.html" in kinds(site)
    found = {}
    for path in kinds(site):
        page = Watched(browser, scheme=scheme).open(path)
        violations = Axe().run(page).response["violations"]
        found |= {(path.name, one["id"]): [node["html"][:150] for node in one["nodes"][:3]] for one in violations}
    assert found == {}
