"""Shapes: the configurations of large backbones that shipped suites name, written out, so that suites plan anywhere.

``shapes/OWNER--NAME.json`` holds what decides the shapes of one backbone of the hub: enough to build it on the meta
device and to count what methods train, without weights. Planning alone reads them; a run needs the backbone itself.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.backbone import MODELS, BackboneFiles
from harness.errors import MissingPrerequisite

FOLDER = Path(__file__).parent / "shapes"
HUB_SECONDS = 10.0
"""Seconds that the hub has to say that it knows a backbone."""


def known() -> dict[str, Path]:
    """Return the file of every shape by its backbone's name on the hub."""
    return {path.stem.replace("--", "/"): path for path in sorted(FOLDER.glob("*.json"))}


def hub_name(reference: str) -> str | None:
    """Return a reference's name on the hub, without revision; none where it names another place."""
    scheme, colon, rest = reference.partition(":")
    bare = rest if colon and scheme == "hub" else reference
    return None if ":" in bare else bare.partition("@")[0]


def outline(reference: str) -> BackboneFiles | None:
    """Return a backbone of which only the shapes are here, where they are written out and its weights are not here."""
    path = known().get(hub_name(reference) or "")
    if path is None or is_here(reference):
        return None
    model_type = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    return BackboneFiles(reference, path, str(model_type), f"shape:{path.stem}")


def is_here(reference: str) -> bool:
    """Return whether a hub backbone is in the mirror or in the hub's local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    rest = reference.removeprefix("hub:")
    name, _, revision = rest.partition("@")
    kept = os.environ.get("PARETUNE_MIRROR")
    if kept and (Path(kept).expanduser() / MODELS / f"{name}@{revision or 'main'}").is_dir():
        return True
    try:
        folder = Path(snapshot_download(name, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    return any(folder.glob("*.safetensors"))  # a configuration that something else fetched is no backbone


def check_hub(reference: str) -> None:
    """Ask the hub whether it would give a backbone whose weights are not here; nothing is fetched.

    Raises:
        MissingPrerequisite: if it does not.
    """
    from huggingface_hub import HfApi

    name, _, revision = reference.removeprefix("hub:").partition("@")
    try:
        HfApi().model_info(name, revision=revision or None, timeout=HUB_SECONDS)
    except Exception as error:  # the client raises its own, the network library's, and plain ones
        raise MissingPrerequisite(
            f"the weights of {reference} are not here: neither a mirror nor the hub's local cache has them, and the "
            f"hub gave {type(error).__name__}; fill a mirror where there is a network (paretune mirror SUITE DIR), "
            f"and give it with --mirror or PARETUNE_MIRROR"
        ) from error
