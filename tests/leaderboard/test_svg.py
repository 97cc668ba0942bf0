"""The drawing: static, small, in the page's colours, the same every time, and kept once it was drawn."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from leaderboard import svg
from leaderboard.chart import specification
from leaderboard.marks import Drawing
from tests.leaderboard.test_chart import CURVE, EVERYTHING, SINGLE


def inline(drawing: Drawing = EVERYTHING) -> str:
    return svg.inline(svg.drawn(specification(drawing)), drawing.title)


def test_a_drawing_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    text = inline()
    ElementTree.fromstring(text)
    assert text.startswith('<svg role="img" aria-label="title" viewBox=')
    assert "#0a0b" not in text
    assert {f"--series-{number}" for number in (1, 2, 3, 4)} <= set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
    assert not re.search(r"\b(id|style|class|on\w+)=|url\(|<script|<style|<image|href", text)
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", text))
    assert {"lora", "bitfit", "head_only", "full", "accuracy, %", "size", "10k", "1M"} <= texts


def test_only_places_are_rounded_and_texts_stay_whole() -> None:
    series = CURVE._replace(
        name="0.123456", points=tuple(p._replace(y=p.y / 1e3, low=None, high=None) for p in CURVE.points)
    )
    texts = re.findall(
        r"<text[^>]*>([^<]*)</text>", inline(EVERYTHING._replace(series=(series,), band=(), quoted=(), levels=()))
    )
    assert "0.123456" in texts
    assert any(re.fullmatch(r"0\.0\d{2,}", text) for text in texts)


def test_dashes_are_there_for_one_seed_and_only_for_it() -> None:
    plain = EVERYTHING._replace(series=(CURVE,), levels=(), band=(), quoted=())
    assert 'stroke-dasharray="2,2"' not in inline(plain)
    assert inline(plain._replace(series=(CURVE, SINGLE))).count('stroke-dasharray="2,2"') == 1


def test_names_and_titles_are_escaped() -> None:
    hostile = EVERYTHING._replace(title='"><script>', up="<i>", series=(CURVE._replace(name='<b class="x">&'),))
    text = inline(hostile)
    ElementTree.fromstring(text)
    assert not re.search("<b|<i>|<script>", text)


def test_a_name_with_a_nul_does_not_end_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = svg.drawn(specification(EVERYTHING._replace(up="a\x00b")))
    assert text.startswith("<svg")
    assert "\x00" not in text


def test_a_file_is_complete_and_has_the_colours_of_the_light_page() -> None:
    text = svg.standalone(svg.drawn(specification(EVERYTHING)), "a <title>")
    root = ElementTree.fromstring(text)
    assert (root[0].tag, root[0].text) == ("{http://www.w3.org/2000/svg}title", "a <title>")
    assert float(root.attrib["width"]) > 300
    assert "var(" not in text
    assert "#0a0b" not in text
    assert svg.light()["#0a0b00"] in text
    assert svg.png(text).startswith(b"\x89PNG")


def test_what_was_drawn_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = svg.drawn(specification(EVERYTHING))
    (kept,) = (tmp_path / "paretune" / "charts").glob("*.svg")
    kept.write_text("<svg kept>", encoding="utf-8")
    assert svg.drawn(specification(EVERYTHING)) == "<svg kept>"
    assert svg.drawn(specification(EVERYTHING._replace(up="other"))) != "<svg kept>"
    kept.unlink()
    assert svg.drawn(specification(EVERYTHING)) == first


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert svg.drawn(specification(EVERYTHING)).startswith("<svg")
    assert svg.png(svg.standalone(svg.drawn(specification(EVERYTHING)), "t")).startswith(b"\x89PNG")
