"""The pages as a validator reads them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import html5lib
import pytest

from tests.leaderboard.browsing import build_rich_board


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(build_rich_board(tmp_path_factory.mktemp("board")).rglob("*.html"))


def test_every_page_is_valid_html(pages: list[Path]) -> None:
    assert len(pages) > 25
    for page in pages:
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        parser.parse(page.read_text(encoding="utf-8"))


def test_ids_are_unique_and_what_they_name_is_there(pages: list[Path]) -> None:
    for page in pages:
        document = html5lib.parse(page.read_text(encoding="utf-8"), namespaceHTMLElements=False)
        elements = [element for element in document.iter() if isinstance(element.tag, str)]
        ids = Counter(element.attrib["id"] for element in elements if "id" in element.attrib)
        assert [name for name, count in ids.items() if count > 1] == [], page.name
        for attribute in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            wanted = {name for element in elements for name in element.attrib.get(attribute, "").split()}
            assert wanted <= ids.keys(), page.name


def test_tables_have_captions_and_headings_scopes(pages: list[Path]) -> None:
    num_tables = 0
    for page in pages:
        document = html5lib.parse(page.read_text(encoding="utf-8"), namespaceHTMLElements=False)
        for table in document.iter("table"):
            num_tables += 1
            assert table.find("caption") is not None, page.name
            assert all(heading.attrib.get("scope") for heading in table.iter("th")), page.name
    assert num_tables > 20


def test_every_page_has_a_strict_policy(pages: list[Path]) -> None:
    for page in pages:
        text = page.read_text(encoding="utf-8")
        policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
        assert policy, page.name
        assert "default-src 'none'" in policy[1]
        assert "unsafe" not in policy[1]
