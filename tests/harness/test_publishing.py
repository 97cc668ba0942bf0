"""Releases and publishing from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.errors import UserError
from harness.publishing import LISTING, files_of, foreign, publish
from leaderboard.page import Asked, build_board
from leaderboard.state import STATE
from tests.leaderboard.making import Made, answers


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def make_records(folder: Path) -> Path:
    for seed in range(2):
        Made(seed=seed, items={"glue/sst2": answers(20, 3 + seed, seed)}).write(folder / "records")
    return folder / "records"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a built site, with a file beside its pages that no board wrote."""
    build_board([make_records(tmp_path)], tmp_path / "site", asked=Asked(published=True))
    (tmp_path / "site" / "notes.txt").write_text("token")
    return tmp_path / "site"


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gets_what_the_board_wrote_and_nothing_else(site: Path, tmp_path: Path) -> None:
    done = run("publish", site, "--to", tmp_path / "public" / "board")
    assert done.exit_code == 0, done.output
    public = tree(tmp_path / "public" / "board")
    listing = public.pop(LISTING).decode().splitlines()
    assert listing == sorted(public)
    ours = tree(site)
    assert public == {name: ours[name] for name in ours.keys() - {"notes.txt", STATE}}
    assert f"{len(public)} files are in" in done.output
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["board"]


def test_publishing_again_replaces_the_old_board_whole_and_keeps_the_domain(site: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    publish(site, str(public))
    (public / "CNAME").write_text("board.example.org")
    removed = next(iter((tmp_path / "records").iterdir()))
    for file in removed.rglob("*.*"):
        file.unlink()
    build_board([tmp_path / "records"], site, asked=Asked(published=True))
    assert (public / "runs" / f"{removed.name}.html").exists()
    publish(site, str(public))
    assert not (public / "runs" / f"{removed.name}.html").exists()
    assert (public / "CNAME").read_text() == "board.example.org"
    assert publish(site, str(public)).endswith(str(public))


def test_a_foreign_folder_is_refused_and_left_as_it_was(site: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    (public / "thesis.tex").write_text("mine")
    done = run("publish", site, "--to", public)
    assert done.exit_code == 1
    assert isinstance(done.exception, UserError)
    assert "holds thesis.tex, which no board wrote" in str(done.exception)
    assert tree(public) == {"thesis.tex": b"mine"}
    (public / "thesis.tex").unlink()
    publish(site, str(public))
    (public / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="thesis.tex"):
        publish(site, str(public))


@pytest.mark.parametrize("target", ["site/inside", "site", "."])
def test_target_and_site_may_not_lie_inside_each_other(site: Path, tmp_path: Path, target: str) -> None:
    before = tree(tmp_path)
    with pytest.raises(UserError, match="inside each other"):
        publish(site, str(tmp_path / target))
    assert tree(tmp_path) == before


def test_a_failed_exchange_puts_the_old_board_back(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = tmp_path / "public"
    publish(site, str(public))
    before = tree(public)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match="No space left on device"):
        publish(site, str(public))
    assert tree(public) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["public", "records", "site"]


def test_a_folder_that_cannot_be_written_is_said(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="board cannot be written .File exists.; publish to another folder"):
        publish(site, str(tmp_path / "file" / "board"))


def test_a_file_in_the_way_is_refused(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        publish(site, str(tmp_path / "file"))


@pytest.mark.parametrize("to", ["", "s3:bucket", "https://example.org"])
def test_an_unknown_target_is_refused(site: Path, to: str) -> None:
    with pytest.raises(UserError, match="take a folder, hub:OWNER/SPACE or gh-pages"):
        publish(site, to)


def test_a_folder_that_is_no_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a site; build it with: paretune board"):
        publish(tmp_path, str(tmp_path / "public"))


def test_a_site_that_lacks_a_file_or_leads_out_of_its_folder_is_refused(site: Path, tmp_path: Path) -> None:
    index = site / "index.html"
    content = index.read_bytes()
    index.unlink()
    with pytest.raises(UserError, match="is not the file that the board wrote"):
        files_of(site)
    (tmp_path / "secret").write_bytes(content)
    index.symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is not the file that the board wrote"):
        files_of(site)
    index.unlink()
    index.write_bytes(content)
    state = (site / STATE).read_text(encoding="utf-8")
    (site / STATE).write_text(state.replace('"index.html"', '"../secret"'), encoding="utf-8")
    with pytest.raises(UserError, match="secret is not the file that the board wrote"):
        files_of(site)


def test_foreign_names_what_no_board_wrote() -> None:
    assert foreign(["a", LISTING, "CNAME", ".nojekyll"], "a\n") is None
    assert foreign([], None) is None
    assert foreign(["c", "b", "a"], "a\n") == "b"
    assert foreign(["a"], None) == "a"


def test_release_and_archive_from_the_command_line(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    done = run("release", records, "--to", tmp_path / "releases", "--name", "2025.01", "--date", "2025-02-03")
    assert done.exit_code == 0, done.output
    assert "2 records" in done.output
    assert run("board", records, "--out", tmp_path / "site", "--releases", tmp_path / "releases").exit_code == 0
    page = (tmp_path / "site" / "archive.html").read_text(encoding="utf-8")
    assert "2025-02-03" in page
    again = run("release", records, "--to", tmp_path / "releases", "--name", "2025.01")
    assert again.exit_code == 1
    assert "never overwritten" in str(again.exception)


def test_an_unreadable_record_is_named_and_the_release_made_of_the_rest(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    bad = Made(seed=5, items={"glue/sst2": answers(20, 3)}).write(records)
    (bad / "record.json").write_text("{}")
    done = run("release", records, "--to", tmp_path / "releases", "--name", "a")
    assert done.exit_code == 1
    assert "unreadable: records/" in done.output
    assert "2 records" in done.output


def test_a_board_that_ranks_what_the_world_should_not_see_is_not_published(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    assert run("board", records, "--out", tmp_path / "site").exit_code == 0
    with pytest.raises(UserError, match=r"ranks what a published board leaves out; build it with: .* --published"):
        publish(tmp_path / "site", str(tmp_path / "public"))
    assert run("board", records, "--out", tmp_path / "site", "--published").exit_code == 0
    assert publish(tmp_path / "site", str(tmp_path / "public"))
