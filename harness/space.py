"""A site as a static Space of the Hugging Face hub."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import MissingPrerequisite, UserError
from harness.publishing import LISTING, NOT_BOARDS, BadTarget, Files, foreign

if TYPE_CHECKING:
    from huggingface_hub import HfApi

NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
README = """---
title: Paretune board
sdk: static
app_file: index.html
pinned: false
---

A board of [Paretune](index.html): accuracy against trained parameters of parameter-efficient fine-tuning. It was made
of records alone; each number leads to its run.
"""
OURS = {"README.md", ".gitattributes"}
"""Files that a Space has besides the site."""


def stage(files: Files, folder: Path) -> None:
    """Put what a Space holds into a folder: the site, the list of its files, and how it is to be served."""
    for name, path in files.paths.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    (folder / LISTING).write_bytes(files.listing)
    (folder / "README.md").write_text(README, encoding="utf-8")


def to_space(files: Files, name: str) -> str:
    """Upload a site as the Space ``OWNER/NAME``, made if needed; files of an earlier board that are gone are removed.

    Raises:
        UserError: if the Space is another's, or the hub cannot be reached or refuses.
    """
    if not NAME.fullmatch(name):
        raise BadTarget(f"hub:{name} is no Space; it is hub:OWNER/NAME")
    from huggingface_hub import HfApi, errors, get_token

    if get_token() is None:
        raise MissingPrerequisite("no token of the hub is here; run `hf auth login`, or set HF_TOKEN")
    api = HfApi()
    try:
        api.create_repo(name, repo_type="space", space_sdk="static", exist_ok=True)
        old = _check(api, name)
        # A large upload is several commits: if it breaks off, this list still tells whose the files are.
        listed = "".join(f"{one}\n" for one in sorted(old | set(files.paths)))
        message = f"Publish a board of {len(files.paths)} files"
        api.upload_file(
            repo_id=name,
            repo_type="space",
            path_or_fileobj=listed.encode(),
            path_in_repo=LISTING,
            commit_message=message,
        )
        with tempfile.TemporaryDirectory(prefix="paretune-space-") as scratch:
            stage(files, Path(scratch))
            api.upload_folder(
                repo_id=name,
                repo_type="space",
                folder_path=scratch,
                commit_message=message,
                delete_patterns=sorted(old - set(files.paths)) or None,
            )
    except errors.OfflineModeIsEnabled as error:
        raise MissingPrerequisite(
            "the hub cannot be reached while HF_HUB_OFFLINE is set; unset it, or publish to a folder"
        ) from error
    except (errors.HTTPError, ValueError, OSError) as error:  # type: ignore[attr-defined]  # whichever client it uses
        raise UserError(f"the hub did not take {name}: {str(error).splitlines()[0]}") from error
    return f"{len(files.paths)} files are at https://huggingface.co/spaces/{name}"


def _check(api: HfApi, name: str) -> set[str]:
    """Return the files that an earlier board wrote; refuse a Space that is not a board's."""
    found = set(api.list_repo_files(name, repo_type="space"))
    listing = None
    if LISTING in found:
        listing = Path(api.hf_hub_download(name, LISTING, repo_type="space")).read_text(encoding="utf-8")
    strange = foreign(found - OURS, listing)
    if strange is not None:
        raise BadTarget(f"the Space {name} {NOT_BOARDS.format(strange)}")
    return set((listing or "").splitlines())
