"""A site on a Pages branch, in real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.branch import BRANCH, NO_JEKYLL
from harness.errors import UserError
from harness.publishing import LISTING, publish
from leaderboard.page import Asked, build_board
from tests.leaderboard.making import Made, answers


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a clone of a bare repository, as the current folder, with work that is not committed."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A maintainer")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "maintainer@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(tmp_path, "clone", "--quiet", "remote.git", "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "--quiet", "-b", "main")
    (clone / "code.py").write_text("print(1)\n")
    git(clone, "add", "code.py")
    git(clone, "commit", "--quiet", "-m", "code")
    git(clone, "push", "--quiet", "origin", "main")
    (clone / "code.py").write_text("print(2)\n")
    (clone / "staged.py").write_text("print(3)\n")
    git(clone, "add", "staged.py")
    (clone / "untracked.txt").write_text("mine")
    monkeypatch.chdir(clone)
    return clone


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a built site."""
    for seed in range(2):
        Made(seed=seed, items={"glue/sst2": answers(20, 3 + seed, seed)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(published=True))
    return tmp_path / "site"


def names(folder: Path, ref: str = BRANCH) -> list[str]:
    return git(folder, "ls-tree", "-r", "--name-only", ref).splitlines()


def test_a_site_becomes_one_pushed_commit_and_the_work_tree_stays_as_it_was(repository: Path, site: Path) -> None:
    before = git(repository, "status", "--porcelain=2", "--branch")
    said = publish(site, BRANCH)
    assert git(repository, "status", "--porcelain=2", "--branch") == before
    assert (repository / "code.py").read_text() == "print(2)\n"
    listed = git(repository, "show", f"{BRANCH}:{LISTING}").splitlines()
    assert set(names(repository)) == {*listed, LISTING, NO_JEKYLL}
    blob = subprocess.run(["git", "show", f"{BRANCH}:index.html"], cwd=repository, capture_output=True, check=True)
    assert blob.stdout == (site / "index.html").read_bytes()
    remote = repository.parent / "remote.git"
    assert git(remote, "rev-parse", BRANCH) == git(repository, "rev-parse", BRANCH)
    assert git(repository, "rev-list", "--count", BRANCH) == "1"
    assert said.endswith("pushed to origin")


def test_publishing_again_adds_a_commit_only_if_something_changed(repository: Path, site: Path) -> None:
    publish(site, BRANCH)
    first = git(repository, "rev-parse", BRANCH)
    assert "is as it was" in publish(site, BRANCH)
    assert git(repository, "rev-parse", BRANCH) == first
    Made(seed=2, items={"glue/sst2": answers(20, 3)}).write(site.parent / "records")
    build_board([site.parent / "records"], site, asked=Asked(published=True))
    publish(site, BRANCH)
    assert git(repository, "rev-parse", f"{BRANCH}^") == first


def test_it_goes_on_from_the_remote_and_keeps_its_domain(repository: Path, site: Path) -> None:
    publish(site, BRANCH)
    other = repository.parent / "other"
    git(repository.parent, "clone", "--quiet", "--branch", BRANCH, "remote.git", "other")
    (other / "CNAME").write_text("board.example.org\n")
    git(other, "add", "CNAME")
    git(other, "commit", "--quiet", "-m", "domain")
    git(other, "push", "--quiet", "origin", BRANCH)
    Made(seed=2, items={"glue/sst2": answers(20, 3)}).write(site.parent / "records")
    build_board([site.parent / "records"], site, asked=Asked(published=True))
    publish(site, BRANCH)
    assert git(repository, "rev-parse", f"{BRANCH}^") == git(other, "rev-parse", "HEAD")
    assert git(repository, "show", f"{BRANCH}:CNAME") == "board.example.org"


def test_branches_that_went_apart_are_not_overwritten(repository: Path, site: Path) -> None:
    publish(site, BRANCH)
    remote = repository.parent / "remote.git"
    tree = git(remote, "rev-parse", f"{BRANCH}^{{tree}}")
    git(remote, "update-ref", f"refs/heads/{BRANCH}", git(remote, "commit-tree", tree, "-m", "another root"))
    with pytest.raises(UserError, match="went apart; to go on from theirs, delete yours: git branch -D gh-pages"):
        publish(site, BRANCH)


def test_a_branch_of_something_else_is_refused(repository: Path, site: Path) -> None:
    git(repository, "branch", BRANCH, "main")
    before = git(repository, "rev-parse", BRANCH)
    with pytest.raises(UserError, match=r"the branch gh-pages holds code\.py, which no board wrote"):
        publish(site, BRANCH)
    assert git(repository, "rev-parse", BRANCH) == before


def test_a_branch_that_is_checked_out_is_refused(repository: Path, site: Path) -> None:
    publish(site, BRANCH)
    git(repository, "worktree", "add", "--quiet", str(repository.parent / "pages"), BRANCH)
    with pytest.raises(UserError, match="gh-pages is checked out"):
        publish(site, BRANCH)


def test_without_a_remote_the_commit_is_made_and_the_push_left_to_the_user(repository: Path, site: Path) -> None:
    said = publish(site, BRANCH, remote="upstream")
    assert "there is no remote 'upstream', so push it yourself: git push REMOTE gh-pages" in said
    assert names(repository)
    assert not git(repository.parent / "remote.git", "branch", "--list", BRANCH)


def test_a_refused_push_is_said(repository: Path, site: Path) -> None:
    hook = repository.parent / "remote.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UserError, match="git push failed"):
        publish(site, BRANCH)


def test_outside_a_repository_it_says_where_to_run(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is in no git repository; run this inside the one"):
        publish(site, BRANCH)


def test_a_machine_without_git_is_told(repository: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository / "nothing"))
    with pytest.raises(UserError, match="git is not on the path"):
        publish(site, BRANCH)
