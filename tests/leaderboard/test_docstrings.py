"""Docstrings as HTML."""

from __future__ import annotations

import html as html_module
import re
from collections import Counter
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from leaderboard import statistics
from leaderboard.docstrings import attributes, to_html


def test_paragraphs_code_and_markup_of_a_docstring() -> None:
    html = to_html("Return ``a < b``.\n\nSecond line\ngoes on <b>.\n")
    assert html == "<p>Return <code>a &lt; b</code>.</p>\n<p>Second line goes on &lt;b&gt;.</p>"


def test_lists_keep_their_entries_whole() -> None:
    assert to_html("Rules:\n1. one\n   goes on\n2. two") == "<p>Rules:</p><ol><li>one goes on</li><li>two</li></ol>"
    assert to_html("- a\n- b") == "<ul><li>a</li><li>b</li></ul>"


def test_arguments_are_definitions() -> None:
    html = to_html(
        "Return it.\n\nArgs:\n    one: first\n        of two.\n    two: [n], ``x``.\n\nRaises:\n    ValueError: if not."
    )
    assert '<p class="args">Args</p><dl class="args"><div><dt><code>one</code></dt><dd>first of two.</dd></div>' in html
    assert "<dt><code>two</code></dt><dd>[n], <code>x</code>.</dd>" in html
    assert '<p class="args">Raises</p>' in html
    assert "<dt><code>ValueError</code></dt><dd>if not.</dd>" in html


def test_an_indented_paragraph_is_shown_as_it_is() -> None:
    assert to_html("Usage:\n\n    a  b\n      c") == "<p>Usage:</p>\n<pre>a  b\n  c</pre>"


class Tags(HTMLParser):
    """Which elements a text opens and closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"p", "code", "pre", "ul", "ol", "li", "dl", "div", "dt", "dd"}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@given(st.text(alphabet="ab <>&`-\n:.1\"'A" + "rgs", max_size=120))
def test_any_text_gives_whole_elements_and_keeps_its_letters(text: str) -> None:
    tags, html = Tags(), to_html(text)
    tags.feed(html)
    tags.close()
    assert not tags.open
    lost = Counter(text) - Counter(html_module.unescape(re.sub(r"<[^>]*>", "", html)))
    assert not lost.keys() & set("ab")


def test_attributes_are_read_with_the_docstring_below_them() -> None:
    assert attributes(statistics.Interval)["error"] == "Standard error of the estimate."
    assert attributes(statistics.Interval)["estimate"] == ""
    assert attributes(statistics)["LEVEL"] == ""
