"""The charts' files lie where the pages say, and a second build draws nothing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import vl_convert

from leaderboard.exports.charts import pages
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.making import Made
from tests.leaderboard.small_board import write_small_board


def files(records: Path) -> dict[str, str | bytes]:
    found = {}
    for page in pages(Site.of(load_records([records]))):
        assert isinstance(page.content, str | bytes)
        found[page.path] = page.content
    return found


def test_each_figure_has_its_files_and_the_site_one_script(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    found = files(tmp_path)
    figures = list(Site.of(load_records([tmp_path])).gallery.every())
    expected = {"static/vega.js"}
    for figure in figures:
        expected |= {figure.interactive, *(place for _, place in figure.downloads)}
    assert set(found) == expected
    assert len(figures) == 4
    for path, content in found.items():
        if path.endswith(".svg"):
            ElementTree.fromstring(content)
        elif path.endswith(".png"):
            assert isinstance(content, bytes)
            assert content.startswith(b"\x89PNG")


def test_a_second_build_draws_nothing_and_gives_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_board(tmp_path)
    first = files(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(vl_convert, "vegalite_to_svg", refuse)
    monkeypatch.setattr(vl_convert, "svg_to_png", refuse)
    assert files(tmp_path) == first


def test_without_a_drawing_there_is_no_script(tmp_path: Path) -> None:
    Made("lora", status="cancelled").write(tmp_path)
    assert files(tmp_path) == {}
