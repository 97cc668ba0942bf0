"""The methodology page follows the code that computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard import compare, statistics
from leaderboard.load import load_records
from leaderboard.pages.methodology import GLOSSARY, MARKS, MODULES, meaning, pages
from leaderboard.site import Site
from tests.leaderboard.small_board import visible


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return Site.of(load_records([tmp_path]))


def page(site: Site) -> str:
    (made,) = pages(site)
    return made.to_bytes().decode()


def test_functions_stand_with_their_docstrings_and_names(empty: Site) -> None:
    markup = page(empty)
    text = visible(markup)
    for name in MODULES:
        assert f'id="{name}"' in markup
    assert 'id="leaderboard.statistics.mean_interval"' in markup
    assert "mean_interval(matrix) Return the mean of a seeds x items matrix and its 95 % interval." in text
    assert "LEVEL 0.95" in text
    assert "ALPHA 0.05" in text
    assert "_centred" not in text


def test_what_only_the_command_compare_computes_with_is_not_on_the_page(empty: Site) -> None:
    text = page(empty)
    assert "below_best(p_values)" in text
    assert "holm(" not in text


def test_a_changed_docstring_changes_the_page(empty: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = page(empty)
    monkeypatch.setattr(compare.below_best, "__doc__", "Return <nothing>, ``always``.")
    after = page(empty)
    assert "Return &lt;nothing&gt;, <code>always</code>." in after
    assert "Return &lt;nothing&gt;" not in before


def test_a_changed_constant_changes_the_page(empty: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "LEVEL", 0.5)
    text = visible(page(empty))
    assert "LEVEL 0.5" in text
    assert "LEVEL 0.95" not in text


def test_every_word_has_a_meaning_and_a_lost_one_is_an_error() -> None:
    for word, owner, name in (*GLOSSARY, *MARKS):
        assert len(visible(meaning(owner, name))) > 10, word
    with pytest.raises(LookupError, match="no docstring for nothing_here"):
        meaning(statistics, "nothing_here")


def test_ids_are_unique_and_every_chapter_is_linked(empty: Site) -> None:
    markup = page(empty)
    ids = re.findall(r'id="([^"]+)"', markup)
    assert len(ids) == len(set(ids)) > 30
    assert set(re.findall(r'href="#([^"]+)"', markup)) - {"main"} <= set(ids)
