"""A stranger's record in a real browser: what the pages' own policy and scripts make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from leaderboard.page import build_board
from tests.leaderboard import hostile
from tests.leaderboard.browsing import Browser, Watched, chromium, kinds

pytestmark = pytest.mark.browser
MARK = "window.ran = 1"
EVIL = (
    f"<script>{MARK}; alert(1)</script></script><script>{MARK}</script><!--'\"><img src=x onerror='{MARK}'>"
    f"<svg onload='{MARK}'></svg><style>*{{display:none}}</style><img src=http://evil.example/x>"
    "<base href=//evil.example><meta http-equiv=refresh content='0;url=//evil.example'>\u2028`${alert(1)}`"
)
WATCH = """document.addEventListener("securitypolicyviolation", event => console.error(event.violatedDirective))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("text", [EVIL, f"javascript:{MARK}"])
def test_no_page_runs_or_fetches_what_a_record_says(tmp_path: Path, browser: Browser, text: str) -> None:
    hostile.write(tmp_path / "records", text)
    site = tmp_path / "site"
    build_board([tmp_path / "records"], site)
    watched = Watched(browser)
    watched.page.add_init_script(WATCH)
    dialogs: list[str] = []
    watched.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    places = [*((path, "") for path in kinds(site)), (site / "compare.html", compared(site))]
    assert len(places) >= 10
    for path, fragment in places:
        page = watched.open(path, fragment)
        if fragment:
            page.wait_for_selector("#basket h2")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.locator("h1").is_visible(), path.name
        assert page.evaluate("window.ran") is None, path.name
        assert page.url.startswith(path.as_uri())
    assert any("/data/" in url for url in watched.requests)
    assert [url for url in watched.requests if not url.startswith((site.as_uri(), "data:,"))] == []
    assert (dialogs, watched.complaints) == ([], [])


def compared(site: Path) -> str:
    """Return the address of a comparison of the entries that the first section's data file holds."""
    path = min((site / "data").iterdir())
    found = re.search(r"push\((.*)\);", path.read_text(encoding="utf-8"))
    assert found
    content = json.loads(found[1])
    chosen = ",".join(quote(entry["id"]) for entry in content["entries"][:2])
    return f"#section={quote(content['id'])}&entries={chosen}"
