"""Checkpoint: the trained part of one run as two files, and how it comes back onto a fresh backbone.

``trained.safetensors`` holds the tensors (trained scalars, the head where it is trained, and buffers such as mask
indices, which take four bytes each where they fit). ``trained.json`` says what they are and whose: with it a trained
part of another method or backbone is refused by name before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness import registry
from harness.backbone import BackboneFiles
from harness.digest import file_digest
from harness.environment import redact
from harness.errors import UserError
from harness.method import BUFFER, Method, Plan
from harness.record import TRAINED_FILE, write_once
from harness.spec import Budget, Spec
from runners.attempt import TRAINED_FACTS_FILE

SCHEMA_VERSION = 1
NARROW = torch.iinfo(torch.int32)

Kind = Literal["trained", "head", "buffer"]


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorFacts(_Block):
    """What one tensor of the file is."""

    kind: Kind
    dtype: str
    """Its type in use, such as ``int64``; in the file an index may be narrower."""


class Facts(_Block):
    """What ``trained.json`` holds."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    method: str
    method_version: int
    config: dict[str, JsonValue]
    """The method's values as run, after the budget was solved."""
    backbone: str
    """Its reference, folders of this machine left out; ``weights`` is what tells backbones apart."""
    weights: str
    targets: str | tuple[str, ...]
    budget: Budget | None
    total: int
    """N: scalars of the backbone without head, tied weights once."""
    total_steps: int
    trained: int
    """Trained scalars outside the head."""
    head: int
    """Trained scalars of the head; 0 where it is left at its start."""
    tensors: dict[str, TensorFacts]
    file: str = ""
    """SHA-256 of ``trained.safetensors``."""


class BadCheckpoint(UserError, ValueError):
    """A trained part that is missing, damaged, or of another method or backbone; the message says which."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained part, read back: its tensors as ``Method.load_state`` takes them."""

    facts: Facts
    state: dict[str, Tensor]


def describe(spec: Spec, method: Method, plan: Plan, weights: str, state: Mapping[str, Tensor]) -> Facts:
    """Return what is to be known of a run's trained part.

    Args:
        spec: what was run.
        method: the attached method.
        plan: what it was attached for.
        weights: the digest of the backbone's files.
        state: ``method.state()``.
    """
    head = method.head()
    tensors = {name: TensorFacts(kind=_kind(name, head), dtype=_name(t.dtype)) for name, t in state.items()}
    sizes = {"trained": 0, "head": 0, "buffer": 0}
    for name, tensor in state.items():
        sizes[tensors[name].kind] += tensor.numel()
    return Facts(
        run_id=spec.run_id,
        method=spec.method,
        method_version=_version(spec.method),
        config=method.config.model_dump(mode="json"),
        backbone=redact(spec.backbone),
        weights=weights,
        targets=spec.targets,
        budget=spec.budget,
        total=plan.total,
        total_steps=plan.total_steps,
        trained=sizes["trained"],
        head=sizes["head"],
        tensors=tensors,
    )


def save(folder: Path, facts: Facts, state: Mapping[str, Tensor]) -> None:
    """Write a trained part into ``folder``, each file whole or not at all, the one that vouches for the other last.

    Raises:
        OSError, SafetensorError: if the folder cannot be written.
    """
    partial = folder / f".{TRAINED_FILE}.partial"
    metadata = {"run_id": facts.run_id, "method": facts.method, "backbone": facts.backbone}
    save_file({name: _narrow(tensor).contiguous() for name, tensor in state.items()}, partial, metadata=metadata)
    partial.rename(folder / TRAINED_FILE)
    facts = facts.model_copy(update={"file": file_digest(folder / TRAINED_FILE)})
    write_once(
        folder / TRAINED_FACTS_FILE,
        json.dumps(facts.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n",
    )


def load(folder: Path) -> Checkpoint:
    """Read the trained part of an attempt's folder.

    Raises:
        BadCheckpoint: if a file is missing, damaged, of an unknown schema version, or not the other one's.
    """
    facts, path = _facts(folder), folder / TRAINED_FILE
    try:
        matches = file_digest(path) == facts.file
        stored = load_file(path) if matches else {}
    except (OSError, SafetensorError) as error:
        raise BadCheckpoint(
            f"{path}: no trained part can be read ({type(error).__name__}: {error}); restore the file"
        ) from error
    if not matches or stored.keys() != facts.tensors.keys():
        raise BadCheckpoint(f"{path}: is not the file that {TRAINED_FACTS_FILE} beside it tells of; restore both")
    state = {name: stored[name].to(getattr(torch, fact.dtype)) for name, fact in facts.tensors.items()}
    return Checkpoint(facts, state)


def check(checkpoint: Checkpoint, spec: Spec, files: BackboneFiles) -> None:
    """Find out whether a trained part is for a spec's method, targets and backbone, before anything is built.

    Raises:
        BadCheckpoint: naming what it is of and what came.
    """
    facts, version = checkpoint.facts, _version(spec.method)
    if facts.method != spec.method:
        raise BadCheckpoint(
            f"this trained part (run {facts.run_id}) is of method {facts.method!r}; {spec.method!r} came; "
            f"give it the method that it is of"
        )
    if facts.method_version != version:
        raise BadCheckpoint(
            f"this trained part (run {facts.run_id}) is of version {facts.method_version} of method {facts.method!r}; "
            f"version {version} is installed and may compute something else; run it again"
        )
    if facts.weights != files.digest:
        raise BadCheckpoint(
            f"this trained part (run {facts.run_id}) is of backbone {facts.backbone!r} (weights {facts.weights[:12]}); "
            f"{redact(files.reference)!r} ({files.digest[:12]}) came; give it the backbone that it is of"
        )
    if facts.targets != spec.targets:
        raise BadCheckpoint(
            f"this trained part (run {facts.run_id}) is of targets {facts.targets!r}; {spec.targets!r} came"
        )


def put(checkpoint: Checkpoint, method: Method) -> None:
    """Put a trained part onto a method that is attached to its backbone; see ``check`` for what comes first.

    Raises:
        BadCheckpoint: if the method has other values, or its tensors other names or shapes.
    """
    facts, config = checkpoint.facts, method.config.model_dump(mode="json")
    if config != facts.config:
        differ = sorted(key for key in {*config, *facts.config} if config.get(key) != facts.config.get(key))
        raise BadCheckpoint(
            f"this trained part (run {facts.run_id}) is of {facts.method} with "
            f"{', '.join(f'{key} {facts.config.get(key)!r}' for key in differ)}; "
            f"{', '.join(f'{key} {config.get(key)!r}' for key in differ)} came; attach the method with its values"
        )
    try:
        method.load_state(checkpoint.state)
    except ValueError as error:
        raise BadCheckpoint(f"run {facts.run_id}: {error}") from error


def _facts(folder: Path) -> Facts:
    path = folder / TRAINED_FACTS_FILE
    if not path.exists():
        if not (folder / TRAINED_FILE).exists():
            raise BadCheckpoint(f"{folder} holds no trained part; keep one with `keep: all` in the suite and run it")
        raise BadCheckpoint(
            f"{folder} has {TRAINED_FILE} but no {TRAINED_FACTS_FILE}: it is of an earlier version of paretune, which "
            f"did not write what the tensors are of; run it again, into another folder"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        facts = Facts.model_validate(content) if version == SCHEMA_VERSION else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise BadCheckpoint(
            f"{path}: does not say what the trained part is of ({type(error).__name__}: {reason}); restore the file"
        ) from error
    if facts is None:
        raise BadCheckpoint(f"{path}: schema version {version} is unknown; this version reads {SCHEMA_VERSION}")
    for name, fact in facts.tensors.items():
        if not isinstance(getattr(torch, fact.dtype, None), torch.dtype):
            raise BadCheckpoint(f"{path}: says that {name} is of type {fact.dtype!r}, which is none; restore the file")
    return facts


def _narrow(tensor: Tensor) -> Tensor:
    """Return int64 as int32 where every value fits: indices into a tensor nearly always do."""
    if tensor.dtype != torch.int64:
        return tensor
    fits = not tensor.numel() or (int(tensor.min()) >= NARROW.min and int(tensor.max()) <= NARROW.max)
    return tensor.int() if fits else tensor


def _kind(name: str, head: Mapping[str, object]) -> Kind:
    if name.startswith(BUFFER):
        return "buffer"
    return "head" if name in head else "trained"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _version(method: str) -> int:
    version = registry.find("method", method).card["version"]
    assert isinstance(version, int)  # a method's card is validated before it runs
    return version
