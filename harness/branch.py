"""A site as one commit of a ``gh-pages`` branch, made of git objects alone: no file of the work tree is touched."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UserError
from harness.publishing import KEPT, LISTING, NOT_BOARDS, BadTarget, Files, foreign

BRANCH = "gh-pages"
REF = f"refs/heads/{BRANCH}"
NO_JEKYLL = ".nojekyll"
"""Tells GitHub to serve the files as they are."""


class GitFailed(UserError, RuntimeError):
    """A git command that failed, with what it said."""


def to_branch(files: Files, folder: Path, remote: str) -> str:
    """Commit a site to the branch ``gh-pages`` of the repository around a folder, and push it where there is a remote.

    Raises:
        UserError: if there is no repository, the branch is another's or checked out, or git fails.
    """
    git = _Git(folder)
    if not git.succeeds("rev-parse", "--git-dir"):
        raise UserError(f"{folder} is in no git repository; run this inside the one whose {BRANCH} is published")
    if f"branch {REF}" in git.text("worktree", "list", "--porcelain").splitlines():
        raise BadTarget(f"{BRANCH} is checked out; switch that work tree to another branch first")
    there = remote in git.text("remote").splitlines()
    parent = _tip(git, remote if there else None)
    kept = _kept(git, parent) if parent else {}
    tree = _tree(git, files, kept)
    if parent and git.text("rev-parse", f"{parent}^{{tree}}") == tree:
        commit, outcome = parent, "is as it was"
    else:
        parents = ["-p", parent] if parent else []
        commit = git.text("commit-tree", tree, *parents, "-m", f"Publish a board of {len(files.paths)} files")
        outcome = f"has {len(files.paths)} files in commit {commit[:10]}"
    git.text("update-ref", "-m", "publish a board", REF, commit)
    if not there:
        return f"{BRANCH} {outcome}; there is no remote {remote!r}, so push it yourself: git push REMOTE {BRANCH}"
    git.text("push", "--quiet", remote, f"{REF}:{REF}")
    return f"{BRANCH} {outcome}, pushed to {remote}"


def _tip(git: _Git, remote: str | None) -> str | None:
    """Return the newest commit of the branch, here or on the remote."""
    own = git.text("rev-parse", REF) if git.succeeds("show-ref", "--verify", "--quiet", REF) else None
    if remote is None or not git.text("ls-remote", "--heads", remote, REF):
        return own
    git.text("fetch", "--quiet", "--no-tags", remote, REF)
    theirs = git.text("rev-parse", "FETCH_HEAD")
    if own is None or git.succeeds("merge-base", "--is-ancestor", own, theirs):
        return theirs
    if git.succeeds("merge-base", "--is-ancestor", theirs, own):
        return own
    raise BadTarget(
        f"{BRANCH} here and on {remote} went apart; to go on from theirs, delete yours: git branch -D {BRANCH}"
    )


def _kept(git: _Git, commit: str) -> dict[str, str]:
    """Return name to blob of what stays of the branch; refuse one that is not a board's."""
    blobs: dict[str, str] = {}
    for line in git.text("ls-tree", "-r", "-z", commit).split("\0"):
        if line:
            facts, _, name = line.partition("\t")
            blobs[name] = facts.split()[2]
    listing = git.text("cat-file", "blob", blobs[LISTING]) if LISTING in blobs else None
    strange = foreign(blobs, listing)
    if strange is not None:
        raise BadTarget(f"the branch {BRANCH} {NOT_BOARDS.format(strange)}")
    return {name: blobs[name] for name in KEPT if name in blobs}


def _tree(git: _Git, files: Files, kept: Mapping[str, str]) -> str:
    names = sorted(files.paths)
    listed = "".join(f"{files.paths[name].resolve()}\n" for name in names)
    blobs = dict(
        zip(names, git.text("hash-object", "-w", "--no-filters", "--stdin-paths", input=listed).split(), strict=True)
    )
    for name, content in ((LISTING, files.listing), (NO_JEKYLL, b"")):
        blobs[name] = git.text("hash-object", "-w", "--no-filters", "--stdin", input=content.decode())
    entries = "".join(f"100644 {blob}\t{name}\0" for name, blob in sorted({**blobs, **kept}.items()))
    with tempfile.TemporaryDirectory(prefix="paretune-index-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git.text("update-index", "-z", "--add", "--index-info", input=entries, environment=index)
        return git.text("write-tree", environment=index)


class _Git:
    """The git of one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A hook that runs this names its own index and work tree, which are not to be touched.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_INDEX")}
        self.environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def succeeds(self, *arguments: str) -> bool:
        """Return whether a command ends well."""
        return self._run(arguments).returncode == 0

    def text(self, *arguments: str, input: str | None = None, environment: Mapping[str, str] | None = None) -> str:
        """Return what a command prints.

        Raises:
            GitFailed: if it fails.
        """
        done = self._run(arguments, input, environment)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise GitFailed(f"git {arguments[0]} failed: {said[-1] if said else f'exit {done.returncode}'}")
        return done.stdout.rstrip("\n")

    def _run(
        self, arguments: Sequence[str], input: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
                input=input,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitFailed("git is not on the path; install it, or publish to a folder") from error
