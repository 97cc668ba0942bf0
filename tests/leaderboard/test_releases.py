"""Releases: frozen once, and found out when altered."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from harness.errors import NoData, UserError
from leaderboard.load import load_records
from leaderboard.page import Asked, build_board
from leaderboard.releases import CELLS, MANIFEST, RECORDS, SITE, Release, freeze, read_archive
from tests.leaderboard.making import Judged, Made, answers
from tests.leaderboard.small_board import words, write_small_board


def release_of(folder: Path) -> Release:
    archive = read_archive(folder)
    assert archive.problems == ()
    (found,) = archive.releases
    return found


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Return a folder with one release of the small board."""
    write_small_board(tmp_path / "records")
    freeze([tmp_path / "records"], tmp_path / "releases", "2025.01")
    return tmp_path / "releases"


def test_a_release_holds_records_items_and_the_board_and_the_digest_of_each(frozen: Path, tmp_path: Path) -> None:
    place = frozen / "2025.01"
    release = release_of(frozen)
    assert (release.name, release.manifest.date, release.manifest.num_records) == ("2025.01", date(2025, 1, 1), 21)
    files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert files == {*release.manifest.files, MANIFEST}
    for name, digest in release.manifest.files.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
    kept = load_records([place / RECORDS])
    ours = load_records([tmp_path / "records"])
    assert [run.record for run in kept.runs] == [run.record for run in ours.runs]
    build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(published=True))
    assert (place / SITE / "index.html").read_bytes() == (tmp_path / "site" / "index.html").read_bytes()
    assert [path.name for path in frozen.iterdir()] == ["2025.01"]


def test_freezing_again_gives_equal_bytes_wherever_records_lie(frozen: Path, tmp_path: Path) -> None:
    for number, place in enumerate(sorted((tmp_path / "records").iterdir())):
        shutil.copytree(place, tmp_path / f"part{number % 2}" / place.name)
    freeze([tmp_path / "part1", tmp_path / "part0"], tmp_path / "again", "2025.01")
    assert release_of(tmp_path / "again").manifest == release_of(frozen).manifest


def test_all_attempts_of_a_run_are_kept(tmp_path: Path) -> None:
    Made(attempt=1, status="lost").write(tmp_path / "a")
    Made(attempt=1, items={"glue/sst2": answers(20, 3)}, environment={"device": "cuda"}).write(tmp_path / "b")
    Made(attempt=2, items={"glue/sst2": answers(20, 3)}).write(tmp_path / "b")
    freeze([tmp_path / "a", tmp_path / "b"], tmp_path / "releases", "x")
    (run,) = load_records([tmp_path / "releases" / "x" / RECORDS]).runs
    assert sorted(attempt.record.status for attempt in run.attempts) == ["lost", "ok", "ok"]


def test_a_release_is_never_overwritten(frozen: Path, tmp_path: Path) -> None:
    before = (frozen / "2025.01" / MANIFEST).read_bytes()
    with pytest.raises(UserError, match="releases are never overwritten; choose another name"):
        freeze([tmp_path / "records"], frozen, "2025.01")
    assert (frozen / "2025.01" / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "-x", "a b", "x" * 41, "a\n"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path / "records")
    with pytest.raises(UserError, match="cannot be named"):
        freeze([tmp_path / "records"], tmp_path / "releases", name)
    assert not (tmp_path / "releases").exists()


def test_nothing_to_freeze_is_said(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with pytest.raises(NoData, match="no record under"):
        freeze([tmp_path / "records"], tmp_path / "releases", "x")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path / "records")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        freeze([tmp_path / "records"], tmp_path / "file" / "releases", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "records"]


def test_stale_runs_are_marked_in_a_release_too(tmp_path: Path) -> None:
    made = Made(items={"glue/sst2": answers(20, 3)})
    made.write(tmp_path / "records")
    freeze([tmp_path / "records"], tmp_path / "releases", "x", judge=Judged({made.run_id: "moved on"}))
    assert "Stale: moved on" in words(tmp_path / "releases" / "x" / SITE / "runs" / f"{made.run_id}.html")


def edit(place: Path) -> None:
    record = next((place / RECORDS).rglob("record.json"))
    record.write_text(record.read_text().replace("0.89", "0.99") + " ")


def remove(place: Path) -> None:
    next((place / RECORDS).rglob("items.parquet")).unlink()


def add(place: Path) -> None:
    (place / SITE / "more.html").write_text("<script>")


def link(place: Path) -> None:
    (place / SITE / "index.html").unlink()
    (place / SITE / "index.html").symlink_to("/etc/hostname")


@pytest.mark.parametrize("alter", [edit, remove, add, link])
def test_an_altered_release_is_found_out_named_and_not_used(
    frozen: Path, tmp_path: Path, alter: Callable[[Path], None]
) -> None:
    alter(frozen / "2025.01")
    archive = read_archive(frozen)
    (release,) = archive.releases
    assert len(release.altered) == 1
    assert release.cells == ()
    (problem,) = archive.problems
    assert problem.startswith(f"release 2025.01 was altered: {release.altered[0]}")
    summary = build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(frozen))
    assert problem in summary.unreadable
    assert not (tmp_path / "site" / "releases").exists()
    page = words(tmp_path / "site" / "archive.html")
    assert f"This release was altered after it was frozen, so nothing of it is shown: {release.altered[0]}." in page


def test_an_alteration_is_found_in_a_board_that_was_built_before(frozen: Path, tmp_path: Path) -> None:
    assert build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(frozen)).unreadable == []
    add(frozen / "2025.01")
    (problem,) = build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(frozen)).unreadable
    assert "site/more.html" in problem


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("{}", "Field required"),
        ({"release": 2}, "Input should be 1"),
        ({"name": "other"}, "it calls itself other"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_is_no_release_is_named_and_left_out(frozen: Path, content: object, reason: str) -> None:
    manifest = frozen / "2025.01" / MANIFEST
    text = manifest.read_text()
    manifest.unlink()
    if content is not None:
        manifest.write_text(content if isinstance(content, str) else json.dumps(json.loads(text) | dict(content)))  # type: ignore[call-overload]
    archive = read_archive(frozen)
    assert archive.releases == ()
    (problem,) = archive.problems
    assert problem.startswith("2025.01/release.json: not a release (")
    assert reason in problem


def test_releases_come_newest_first(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path / "records")
    for name, day in (("b", date(2025, 1, 1)), ("c", date(2025, 3, 1)), ("a", date(2025, 2, 1))):
        freeze([tmp_path / "records"], tmp_path / "releases", name, day)
    assert [release.name for release in read_archive(tmp_path / "releases").releases] == ["c", "a", "b"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        read_archive(tmp_path / "gone")


def test_cells_lie_beside_the_records(frozen: Path) -> None:
    assert len(release_of(frozen).cells) == len(json.loads((frozen / "2025.01" / CELLS).read_text())) == 9
