"""A board with every kind of page, and a browser that looks at it without any network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.record import EpochMetrics
from leaderboard.page import build_board
from tests.leaderboard.making import Judged, Made, answers
from tests.leaderboard.small_board import write_small_board

Browser = Any
"""Playwright's own type; it is imported where it is used, so that collecting tests does not need it."""


def build_rich_board(folder: Path) -> Path:
    """Build a board with three sections, two of one suite, a budget curve, failures, a stale run and no record."""
    records = folder / "records"
    write_small_board(records)
    epochs = [EpochMetrics(epoch=n, train_loss=1 / n, validation_loss=0.6, metrics={"accuracy": 0.7}) for n in (1, 2)]
    stale = Made(suite="another", values={"rank": 4}, items={"glue/sst2": answers(100, 9)}, validation=epochs)
    stale.write(records)
    Made(suite="another", values={"rank": 4}, seed=1, items={"glue/sst2": answers(100, 12)}).write(records)
    Made("full", seed=1, suite="another", trained=22_713_216, items={"glue/sst2": answers(100, 8)}).write(records)
    elsewhere = Made(suite="another", values={"rank": 4}, backbone="package:other/model")
    elsewhere.items = {"glue/sst2": answers(100, 10)}
    elsewhere.write(records)
    broken = records / "0123456789abcdef" / "001"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text("{")
    build_board([records], folder / "site", Judged({stale.run_id: "tasks/glue.py has changed"}))
    return folder / "site"


def kinds(site: Path) -> list[Path]:
    """Return the page with most sections of each kind, by folder, and every page of the first level."""
    found: dict[str, list[Path]] = {}
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).as_posix()
        found.setdefault(name.partition("/")[0] if "/" in name else name, []).append(page)
    return [max(pages, key=lambda page: page.read_text("utf-8").count('class="group"')) for pages in found.values()]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the system's Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def expect(what: Any) -> Any:  # Any: as above
    """Return Playwright's assertion that waits; `wait_for_function` looks twice only where a page allows `eval`."""
    from playwright.sync_api import expect as waiting

    waiting.set_options(timeout=30_000)
    return waiting(what)


class Watched:
    """A page of a browser that notes what it asks for and what it complains of."""

    def __init__(self, browser: Browser, width: int = 1280, scheme: str = "light", scripts: bool = True) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
            offline=True,
        )
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:  # Any: as above
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: Path, fragment: str = "") -> Any:  # Any: as above
        """Go to a page of the site, as a reader who opens the file."""
        self.page.goto(path.as_uri() + fragment)
        return self.page
