"""Export: the model that a run trained, merged, in the ordinary layout of transformers, for use without this project.

The run's backbone and method are built as the run built them, the trained part that it kept is put back, and the
method merges it into the weights. ``paretune.json`` in the folder says which run it was and how it scored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import nn
from transformers.utils import logging

from harness import registry
from harness.api import stale_runs
from harness.backbone import Backbone, locate
from harness.environment import redact
from harness.errors import NotApplicable, UnwritableFolder, UserError
from harness.listing import find_run
from harness.method import Method
from harness.record import TRAINED_FILE, Record, write_once
from harness.spec import Spec
from harness.task import TaskCard
from runners import checkpoint
from runners.checkpoint import Checkpoint
from runners.prepare import attach, frozen_dtype, max_length, protocol_of

SCHEMA_VERSION = 1
ABOUT_FILE = "paretune.json"


def export(run_id: str, folders: Sequence[Path], out: Path, device: str = "cpu") -> Path:
    """Write the merged model of a run's newest ok attempt that kept its trained part.

    The weights are written in the type of the frozen ones: what the run's spec says, else bf16 on a GPU and fp32
    elsewhere.

    Args:
        run_id: the run, or the beginning of its id.
        folders: where to look for it.
        out: the folder of the model: made, or empty.
        device: where the model is built.

    Returns:
        ``out``, which ``from_pretrained`` of the auto class opens that the run's protocol puts a head on with.

    Raises:
        UnknownName: if there is no such run, or its method, task or protocol is not registered here.
        BadCheckpoint: if the trained part is damaged, or not of this method and these weights.
        UserError: if nothing was kept, the method cannot be merged, or ``out`` is not empty.
        UnwritableFolder: if ``out`` cannot be written.
    """
    refuse_content(out)
    attempts = find_run(run_id, folders).attempts
    record, folder = _kept([(attempt.record, attempt.folder) for attempt in attempts])
    spec, kept = record.spec, checkpoint.load(folder)
    try:
        protocol_of(spec).check_export()
    except NotApplicable as error:
        raise UserError(f"run {record.run_id} has no model to export: {error}") from error
    backbone = _merged(spec, kept, device)
    card = registry.load_task(spec.train, spec.protocol).card
    model: Any = backbone.model  # Any: a transformers model, typed as a module
    if len(card.labels) == model.config.num_labels:  # not those of a head that scores candidates one by one
        model.config.id2label = dict(enumerate(card.labels))
        model.config.label2id = {label: index for index, label in enumerate(card.labels)}
    dtype = frozen_dtype(spec, device)
    _in_one_type(model, dtype)
    about = _about(record, kept, card, dtype, max_length(spec, backbone))
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    target = out.resolve()
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        model.save_pretrained(partial)
        backbone.tokenizer.save_pretrained(partial)
        write_once(partial / ABOUT_FILE, json.dumps(about, indent=1, sort_keys=True, allow_nan=False) + "\n")
        partial.rename(target)
    except OSError as error:
        raise UnwritableFolder(out, error, "the argument FOLDER") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def refuse_content(out: Path) -> None:
    """Refuse a folder to write to that is a file, or has anything in it.

    Raises:
        UserError: naming the fix.
    """
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty, and nothing is ever overwritten; name a folder that is new or empty")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder that is new or empty")


def _kept(attempts: Sequence[tuple[Record, Path]]) -> tuple[Record, Path]:
    """Return record and folder of the newest ok attempt with a trained part; the attempts of a run, oldest first."""
    newest = attempts[-1][0]
    good = [attempt for attempt in attempts if attempt[0].status == "ok"]
    if not good:
        raise UserError(
            f"run {newest.run_id} has no attempt that is ok (the newest is {newest.status}); run it again first"
        )
    kept = [attempt for attempt in good if (attempt[1] / TRAINED_FILE).is_file()]
    if kept:
        return kept[-1]
    record = good[-1][0]
    if record.counts and not record.counts.trained and not record.counts.head_trained:
        raise UserError(f"run {record.run_id} ({record.spec.method}) trains nothing, so there is no model to export")
    only = f"method={record.spec.method},seed={record.spec.seed}"
    suite = f" (SUITE is {record.suite} or its file)" if record.suite else ""
    raise UserError(
        f"run {record.run_id} kept no trained part. A suite's `keep` decides: all keeps every one, final (the default) "
        f"only those of finals under 5 % of N, none keeps none. Run it again into another folder with: "
        f"paretune run SUITE --set keep=all --only {only} --out NEW_FOLDER{suite}"
    )


def restored(spec: Spec, kept: Checkpoint, device: str) -> tuple[Backbone, Method]:
    """Return the run's backbone with its method attached and the trained part put back, as it was when it was scored.

    Raises:
        BadCheckpoint: if the trained part is not of this method and these weights.
    """
    files = locate(spec.backbone)
    if files.is_altered:
        raise UserError(
            f"run {kept.facts.run_id} is of {spec.backbone}, whose stem is none that transformers' configuration can "
            f"state, so that nothing written here would open as this model; its trained part stays with the run"
        )
    checkpoint.check(kept, spec, files)
    backbone = protocol_of(spec).load(files)
    backbone.place(device, frozen_dtype(spec, device))
    # The steps that the run had: schedules of some methods depend on them, and a whole epoch's rows give their number.
    rows = kept.facts.total_steps // spec.training.epochs * spec.training.batch_size
    method, _ = attach(spec, backbone, rows)
    checkpoint.put(kept, method)
    backbone.model.eval()
    method.finalize(backbone.model)
    return backbone, method


def _merged(spec: Spec, kept: Checkpoint, device: str) -> Backbone:
    """Return the run's backbone with the trained part merged into its weights."""
    backbone, method = restored(spec, kept, device)
    try:
        method.merge(backbone.model)
    except NotApplicable as error:
        raise UserError(
            f"run {kept.facts.run_id} has no merged model, and only one of the backbone's own architecture can be "
            f"written: {error}; export a run of a method that merges"
        ) from error
    return backbone


def _in_one_type(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast parameters to the type that the file is opened in; buffers lose their meaning in bf16 and stay."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _about(record: Record, kept: Checkpoint, card: TaskCard, dtype: torch.dtype, tokens: int) -> dict[str, JsonValue]:
    spec = record.spec
    stale = stale_runs([record]).get(record.run_id)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": record.run_id,
        "attempt": record.attempt,
        "method": kept.facts.method,
        "method_version": kept.facts.method_version,
        "method_config": kept.facts.config,
        "trained": kept.facts.trained,
        "backbone": redact(spec.backbone),
        "weights": kept.facts.weights,
        "task": spec.train,
        "labels": list(card.labels),
        "label_range": list(card.label_range) if card.label_range else None,
        "max_length": tokens,
        "dtype": str(dtype).removeprefix("torch."),
        "purpose": spec.purpose,
        "metrics": {score.task: dict(score.metrics) for score in record.scores},
        "stale": stale is not None,
        "stale_reason": stale,
    }
