"""The interactive chart in a real browser: from disk, under the strict policy, by mouse and by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leaderboard.page import build_board
from tests.leaderboard.small_board import write_small_board

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
BARE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>t</title>
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,"><link rel="stylesheet" href="static/style.css">
<link rel="stylesheet" href="static/chart.css">
<script src="static/chart.js" defer></script></head><body>{charts}</body></html>"""
VIOLATIONS = """() => { window.violations = []
document.addEventListener("securitypolicyviolation", event => window.violations.push(event.violatedDirective)) }"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a board with a page that holds its charts alone, under the strict policy."""
    folder = tmp_path_factory.mktemp("charts")
    write_small_board(folder / "records")
    build_board([folder / "records"], folder / "site")
    text = (folder / "site" / "index.html").read_text(encoding="utf-8")
    boxes = [part.split("</p>")[0] + "</p></div>" for part in text.split('<div class="chart-box">')[1:]]
    charts = "".join(f'<figure><div class="chart-box">{box}</figure>' for box in boxes)
    assert len(boxes) == 2
    (folder / "site" / "charts.html").write_text(BARE.format(policy=POLICY, charts=charts), encoding="utf-8")
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Path) -> Iterator[Page]:
    """Return the page of charts, with the first made interactive; nothing may complain."""
    page = browser.new_page(viewport={"width": 800, "height": 900})
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.add_init_script(f"({VIOLATIONS})()")
    page.goto((site / "charts.html").as_uri())
    assert not any("vega" in url for url in requests), "nobody asked for it yet"
    page.click(".chart-ask >> nth=0")
    page.wait_for_selector(".chart-live svg .mark-symbol path")
    page.wait_for_selector(".chart-live:focus")
    yield page
    assert said == []
    assert page.evaluate("window.violations") == []
    assert len(requests) == 6, "the page, two styles, three scripts"
    assert all(url.startswith(("file:", "data:")) for url in requests)
    page.close()


def texts(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('.chart-live text')].map(one => one.textContent)")
    return found


MARKS = ".chart-live .mark-symbol path:not([opacity='0'])"


def marks(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        f"""[...document.querySelectorAll("{MARKS}")].map(one => one.getAttribute("transform"))"""
    )
    assert len(found) == 2
    return found


def test_it_takes_the_drawing_s_place_and_gives_it_back(page: Page) -> None:
    drawing, live = page.locator(".chart > svg").first, page.locator(".chart-live").first
    assert (drawing.is_visible(), live.is_visible()) == (False, True)
    assert {"random_mask", "10k", "trained parameters (log scale)"} <= set(texts(page))
    markup = page.locator(".chart-live").first.inner_html()
    assert "#0a0b" not in markup
    assert 'fill="rgb(' in markup
    page.click(".chart-ask >> nth=0")
    assert (drawing.is_visible(), live.is_visible()) == (True, False)
    assert page.locator(".chart-buttons").first.is_hidden()


def test_arrow_keys_step_through_the_points_and_tell_of_them(page: Page) -> None:
    told = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        told.append(page.locator(".chart-tip").first.inner_text())
    assert told[0].startswith("random_mask 0.01 %")
    assert "2,271" in told[0]
    assert "3 seeds: 0, 1, 2" in told[0]
    assert len(set(told)) >= 2
    page.keyboard.press("Escape")
    assert page.locator(".chart-tip").first.is_hidden()


def test_a_point_under_the_pointer_tells_of_itself(page: Page) -> None:
    box = page.locator(MARKS).first.bounding_box()
    assert box
    spot = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*spot)
    page.wait_for_selector(".chart-tip:not([hidden])")
    assert "Trained parameters" in page.locator(".chart-tip").first.inner_text()


def test_keys_buttons_and_wheel_move_the_axis_and_0_brings_it_back(page: Page) -> None:
    start, axis = marks(page), sorted(texts(page))
    page.keyboard.press("+")
    page.wait_for_timeout(50)
    nearer = marks(page)
    assert nearer != start
    page.click("text=−")
    page.wait_for_timeout(50)
    page.locator(".chart-live").first.focus()
    page.locator(".chart-live").first.hover()
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(50)
    assert marks(page) != start
    page.keyboard.press("0")
    page.wait_for_timeout(50)
    assert (marks(page), sorted(texts(page))) == (start, axis)


def test_dragging_moves_the_axis(page: Page) -> None:
    before = marks(page)
    box = page.locator(".chart-live").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 100, steps=3)
    page.mouse.up()
    page.wait_for_timeout(50)
    after = marks(page)
    assert after != before


def test_a_method_is_singled_out(page: Page) -> None:
    def faded() -> int:
        found: int = page.evaluate(
            "[...document.querySelectorAll('.chart-live [opacity]')].map(one => Number(one.getAttribute('opacity')))"
            ".filter(opacity => 0 < opacity && opacity <= 0.12).length"
        )
        return found

    before = faded()
    button = page.locator(".chart-buttons button", has_text="random_mask").first
    button.click()
    page.wait_for_timeout(50)
    assert button.get_attribute("aria-pressed") == "true"
    assert faded() > before
    button.click()
    page.wait_for_timeout(50)
    assert (button.get_attribute("aria-pressed"), faded()) == ("false", before)


def test_it_follows_the_scheme(page: Page) -> None:
    def fills() -> set[str]:
        found = page.evaluate("[...document.querySelectorAll('.chart-live text')].map(one => one.getAttribute('fill'))")
        return set(found)

    light = fills()
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    dark = fills()
    assert light
    assert dark
    assert not light & dark


def test_without_scripts_the_drawings_stand(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "charts.html").as_uri())
    assert page.locator(".chart > svg").count() == 2
    assert page.locator(".chart > svg").first.is_visible()
    assert page.locator(".chart-ask").count() == 0
    context.close()


def test_a_missing_script_is_told_and_the_drawing_stays(browser: Browser, site: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    (copy / "static" / "vega.js").unlink()
    page = browser.new_page()
    page.goto((copy / "charts.html").as_uri())
    page.click(".chart-ask >> nth=0")
    page.wait_for_selector(".chart-ask:has-text('No interactive chart: cannot load')")
    assert page.locator(".chart > svg").first.is_visible()
    page.close()
