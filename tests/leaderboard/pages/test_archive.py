"""The archive page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from leaderboard.page import Asked, build_board
from leaderboard.pages import archive
from leaderboard.releases import freeze
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import words


def write(folder: Path, method: str, wrong: int, attempt: int = 1) -> None:
    for seed in range(3):
        items = {"glue/sst2": answers(200, wrong + seed, seed)}
        Made(method, seed=seed, attempt=attempt, items=items).write(folder)


def build(tmp_path: Path) -> Path:
    build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(tmp_path / "releases"))
    return tmp_path / "site"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Return records of which a release was made."""
    for method, wrong in {"random_mask": 5, "fish": 6, "pst": 60}.items():
        write(tmp_path / "records", method, wrong)
    freeze([tmp_path / "records"], tmp_path / "releases", "2025.01")
    return tmp_path / "records"


def test_without_releases_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    text = words(tmp_path / "site" / "archive.html")
    assert "There is no release yet. paretune release RECORDS --to RELEASES --name 2026.11 freezes one" in text


def test_a_release_is_shown_with_its_board_and_what_moved(records: Path, tmp_path: Path) -> None:
    write(records, "fish", 80, attempt=2)
    write(records, "lora", 9)
    site = build(tmp_path)
    text = words(site / "archive.html")
    assert "2025.01 Date 2025-01-01 Attempts 9 Board as it was" in text
    assert "2 cells made of the same results, 1 of others, 1 new, 0 vanished," in text
    assert "fish glue/sst2 96.5 59.5 −37.0 [" in text
    assert "New cells: 1" in text
    board = site / "releases" / "2025.01"
    frozen = tmp_path / "releases" / "2025.01" / "site"
    assert (board / "index.html").read_bytes() == (frozen / "index.html").read_bytes()
    assert len(list(board.rglob("*.html"))) == len(list(frozen.rglob("*.html"))) > 10


def test_the_csv_has_every_move(records: Path, tmp_path: Path) -> None:
    write(records, "fish", 80, attempt=2)
    write(records, "lora", 9)
    text = (build(tmp_path) / "downloads" / "all" / "since-2025.01.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == archive.FIELDS
    moved, new = (next(line for line in lines if line["what"] == what) for what in ("moved", "new"))
    assert float(moved["difference"]) == pytest.approx(-0.37)
    assert float(moved["low"]) < -0.37 < float(moved["high"])
    assert (new["method"], new["then"], float(new["now"])) == ("lora", "", pytest.approx(0.95))
    assert {line["what"] for line in lines} == {"moved", "new", "letters"}


def test_long_lists_are_cut_and_say_so(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("fish", "pst"):
        write(records, method, 80, attempt=2)
    monkeypatch.setattr(archive, "MOST", 1)
    site = build(tmp_path)
    assert "The first 1 of 2 cells with other results; the CSV has them all." in words(site / "archive.html")
    csv_text = (site / "downloads" / "all" / "since-2025.01.csv").read_text(encoding="utf-8")
    assert csv_text.count("\nmoved,") == 2


def test_a_release_that_is_gone_leaves_the_site(records: Path, tmp_path: Path) -> None:
    site = build(tmp_path)
    assert (site / "releases" / "2025.01" / "index.html").exists()
    build_board([records], site)
    assert not (site / "releases" / "2025.01" / "index.html").exists()
