"""The pages in a real browser, at the widths and in the schemes that readers have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from leaderboard.page import build_board
from tests.leaderboard.making import Made
from tests.leaderboard.small_board import write_small_board

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


@pytest.mark.parametrize("width", [1280, 400])
def test_pages_fit_follow_the_scheme_and_fetch_nothing(tmp_path: Path, width: int) -> None:
    from playwright.sync_api import sync_playwright

    write_small_board(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    failed = Made("full").run_id
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    grounds: dict[str, str] = {}
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            page.on("request", lambda request: requests.append(request.url))
            for name in ("index.html", f"runs/{failed}.html"):
                page.goto((tmp_path / "site" / name).as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate("document.fonts.status") == "loaded"
            page.goto((tmp_path / "site" / "index.html").as_uri())
            assert page.evaluate(METHODS_STAY)
            grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert len(requests) >= 8
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
