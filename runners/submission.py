"""Submission: predictions of hidden test rows by kept finals, in the files that a benchmark's test server takes.

A task family says in its ``SUBMISSION`` what its server takes: one file per task, in one of the forms of
``runners.answer_files``.

Of several runs of a task, all of one backbone and method, the cell with the best validation is taken, and of its seeds
the lowest. What hidden rows are scored at is not known, so nothing of them can have gone into that choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import JsonValue

from harness import registry
from harness.api import load_records, stale_runs
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UnknownName, UnwritableFolder, UserError
from harness.matrix import Filter, passes
from harness.protocol import protocol_class
from harness.record import TRAINED_FILE, Record
from harness.splits import Part
from runners import checkpoint
from runners.answer_files import FORMS
from runners.execute import evaluator_for
from runners.export import refuse_content, restored
from runners.prepare import max_length, protocol_of

Kept = tuple[Record, Path]
"""A record, and the folder where its trained part lies."""


@dataclass(frozen=True)
class Target:
    """One file of a submission."""

    file: str
    task: str
    form: str
    labels: tuple[str | int, ...] = ()
    """The server's words for class 0, 1, ...; empty where predictions are numbers or texts."""
    index: str = "idx"
    """The column that names a row."""

    @property
    def trained(self) -> str:
        """The task whose model predicts this one."""
        return registry.load_task(self.task).card.score_only_with or self.task


class Written(NamedTuple):
    """One file that was written, and what made it."""

    file: str
    task: str
    rows: int
    run_id: str
    backbone: str
    method: str
    seed: int
    stale: str | None
    """Why today's code might predict otherwise; null where it would not."""


class Submission(NamedTuple):
    """What was written, and why the rest was not."""

    written: tuple[Written, ...]
    missing: dict[str, str]
    """File to reason."""


def submit(
    family: str,
    folders: Sequence[Path],
    out: Path,
    source: DataSource,
    only: Sequence[Filter] = (),
    device: str = "cpu",
) -> Submission:
    """Write the files of a family's test server into ``out``.

    Args:
        family: name of the task file that states what its server takes.
        folders: where to look for runs.
        out: made, or empty.
        source: of the hidden rows.
        only: which runs may be taken.
        device: where predictions are made.

    Raises:
        UnknownName: for a family without a server.
        UserError: if nothing can be written, a task has runs of several methods or backbones, or ``out`` has content.
        UnwritableFolder: if ``out`` cannot be written.
    """
    if family not in registry.submissions():
        raise UnknownName("benchmark with a test server", family, registry.submissions())
    refuse_content(out)
    targets = [_target(entry) for entry in registry.submissions()[family]]
    kept = list(_kept(folders, only))
    chosen, missing = dict[str, Kept](), dict[str, str]()
    for target in targets:
        found = [one for one in kept if one[0].spec.train == target.trained]
        if found:
            chosen[target.file] = _best(target.trained, found)
        else:
            missing[target.file] = f"no run of {target.trained} with a head and a kept trained part"
    if not chosen:
        raise UserError(_nothing(family, folders, only))
    lines, written = dict[str, list[str]](), []
    for one in {record.run_id: (record, folder) for record, folder in chosen.values()}.values():
        theirs = [t for t in targets if t.file in chosen and chosen[t.file][0].run_id == one[0].run_id]
        for target, result in _predictions(one, theirs, source, device):
            if isinstance(result, str):
                missing[target.file] = result
            else:
                lines[target.file] = result.lines
                written.append(_written(target, one[0], result.rows))
    if not lines:
        raise UserError(f"nothing can be written: {'; '.join(f'{file}: {why}' for file, why in missing.items())}")
    _write(out, lines)
    order = [target.file for target in targets]
    return Submission(
        tuple(sorted(written, key=lambda row: order.index(row.file))), {f: missing[f] for f in order if f in missing}
    )


class _Lines(NamedTuple):
    lines: list[str]
    rows: int


def _target(entry: Mapping[str, JsonValue]) -> Target:
    facts: dict[str, Any] = {**entry}  # Any: JSON
    return Target(**{**facts, "labels": tuple(facts.get("labels", ()))})


def _kept(folders: Sequence[Path], only: Sequence[Filter]) -> Iterator[Kept]:
    """Yield the finals that may be taken: of each run the newest ok attempt that kept its trained part."""
    for run in load_records([folder for folder in folders if folder.is_dir()]).runs:
        good = [one for one in run.attempts if one.record.status == "ok" and (one.folder / TRAINED_FILE).is_file()]
        if not good:
            continue
        spec = good[-1].record.spec
        if spec.purpose == "final" and protocol_class(spec.protocol).READS_HIDDEN and passes(spec, only):
            yield good[-1].record, good[-1].folder


def _best(task: str, kept: Sequence[Kept]) -> Kept:
    """Return the run that predicts: the lowest seed of the cell that validated best."""
    kinds = sorted({(record.spec.backbone, record.spec.method) for record, _ in kept})
    if len(kinds) > 1:
        (backbone, method), shown = kinds[0], ", ".join(f"{method} on {backbone}" for backbone, method in kinds)
        raise UserError(
            f"{task} has kept runs of {shown}; choose one for all tasks, such as "
            f"--only method={method},backbone={backbone}"
        )
    lowest: dict[str, Kept] = {}
    for one in sorted(kept, key=lambda one: (-one[0].spec.seed, one[0].run_id)):
        lowest[json.dumps(one[0].spec.cell(), sort_keys=True)] = one
    return max(lowest.values(), key=lambda one: (_validated(one[0]), one[0].run_id))


def _validated(record: Record) -> float:
    """Return how well a run validated in the epoch that was chosen, larger for better."""
    metric = registry.load_task(record.spec.train, record.spec.protocol).card.metric
    values = [epoch.metrics.get(metric.name) for epoch in record.validation if epoch.epoch == record.best_epoch]
    if not values or values[0] is None:
        return -math.inf
    return values[0] if metric.higher_is_better else -values[0]


def _predictions(
    kept: Kept, targets: Sequence[Target], source: DataSource, device: str
) -> Iterator[tuple[Target, _Lines | str]]:
    """Yield the lines of each file that a run predicts, or why there are none."""
    spec = kept[0].spec
    parts: list[tuple[Target, Part]] = []
    for target in targets:
        part = Part(registry.load_task(target.task, spec.protocol), "hidden", source)
        try:
            found, size = part.raw().table.num_rows, part.task.card.sizes["hidden"]
        except MissingPrerequisite as error:
            yield target, str(error)
            continue
        if found != size:
            yield target, f"{part.title} has {found} rows here, and the server asks for {size}"
            continue
        parts.append((target, part))
    if not parts:
        return
    backbone, _ = restored(spec, checkpoint.load(kept[1]), device)
    evaluator = evaluator_for(spec, backbone, device)
    for target, part in parts:
        protocol = protocol_of(spec, target.task)
        examples = protocol.encode(part, backbone.tokenizer, max_length(spec, backbone))
        values = evaluator.predict(backbone.model, protocol, examples).values or ()
        said = [target.labels[int(value)] if target.labels else value for value in values]
        lines = list(FORMS[target.form](part.values(target.index), said))
        yield target, _Lines(lines, len(said))


def _write(out: Path, lines: Mapping[str, Sequence[str]]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, rows in lines.items():
            (out / file).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise UnwritableFolder(out, error, "the argument FOLDER") from error


def _written(target: Target, record: Record, rows: int) -> Written:
    spec = record.spec
    stale = stale_runs([record]).get(record.run_id)
    return Written(target.file, target.task, rows, record.run_id, spec.backbone, spec.method, spec.seed, stale)


def _nothing(family: str, folders: Sequence[Path], only: Sequence[Filter]) -> str:
    chosen = f" that --only {','.join(f'{key}={value}' for key, value in only)} lets through" if only else ""
    return (
        f"no run of {family}{chosen} in {', '.join(map(str, folders))} kept its trained part; run a suite with its "
        f"tasks (`keep: final` or, for runs that train 5 % of N or more, `keep: all`) and name its folder with --out"
    )
