"""The cache holds whole things only, makes each once, and says so where it cannot be written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness import cache
from harness.errors import UnwritableFolder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "paretune"


def test_it_is_made_once_even_by_many_at_a_time(place: Path) -> None:
    calls, found = [], []

    def make(path: Path) -> None:
        calls.append(path)
        path.mkdir()
        (path / "content").write_text("whole")

    threads = [threading.Thread(target=lambda: found.append(cache.made("a/thing-1", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [place / "a" / "thing-1"] * 4
    assert len(calls) == 1
    assert (found[0] / "content").read_text() == "whole"


def test_what_fails_leaves_nothing_that_looks_whole(place: Path) -> None:
    def fail(path: Path) -> None:
        path.mkdir()
        (path / "half").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache.made("thing", fail)
    assert not (place / "thing").exists()
    assert sorted(path.name for path in place.iterdir()) == ["thing.lock"]
    assert cache.made("thing", lambda path: None if path.write_text("now") else None).read_text() == "now"


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UnwritableFolder, match="XDG_CACHE_HOME"):
        cache.made("thing", lambda path: None)


def test_without_the_variable_it_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "paretune"
