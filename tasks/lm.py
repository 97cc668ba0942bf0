"""lm: any task of lm-eval, by its name there (``lm/boolq``), or by its YAML file (``lm/PATH.yaml``), with no code here.

The card is read from the task's YAML: data set, splits, metrics, version. What is trained on is its training split; the
labelled split reported on is the one that lm-eval itself scores, its test split where it names one, else its validation
split. A task that names no training split is trained on another split of its data that it is not scored on,
``lm/NAME@SPLIT``, or scores a model that was trained on another task: ``{train: lm/a, score: [lm/b]}``.

A user's own file is read without running anything; where it calls functions of its own, ``--allow-code`` lets it. Its
rows may be files (``dataset_path: json``, ``csv`` or ``parquet``, with ``data_files`` per split in ``dataset_kwargs``),
whose paths are relative to where the command is run, as for lm-eval.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness import stock
from harness.errors import MissingPrerequisite
from harness.metrics import lm
from harness.task import Split
from tasks.card_file import FileTask

RESOLVES = {"prefix": "lm/", "title": "any task of lm-eval by its name, or by a YAML file in its format"}

BUILDERS = ("json", "csv", "parquet")
"""Names by which a data set is files."""
Facts = dict[str, Any]
"""What YAML says of a metric (Any: as YAML has it)."""
DEFAULTS: dict[str, tuple[str, ...]] = {"multiple_choice": ("acc", "acc_norm"), "loglikelihood": ("perplexity", "acc")}
DEFAULTS |= {"loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte")}
DEFAULTS |= {"generate_until": ("exact_match",)}
"""Metrics of a task that names none, as lm-eval has them."""
LOWER_IS_BETTER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter")
COUNTS_RIGHT = ("acc", "acc_norm", "acc_bytes", "exact_match")


def resolve(name: str) -> dict[str, JsonValue]:
    """Return the card of ``lm/NAME``, ``lm/NAME@SPLIT`` or ``lm/PATH.yaml``.

    Raises:
        UnknownName: for a task that lm-eval does not have.
        MissingPrerequisite: for a group or a tag, whose members are named, or a task that cannot be met.
    """
    reference, at, trained_on = name.partition("/")[2].partition("@")
    if reference.endswith((".yaml", ".yml")):
        reference = f"path:{reference}"
    stock.check_code(reference)
    path = stock.locate(reference)
    config = stock.read(path)
    for needed in ("task", "dataset_path"):
        if not isinstance(config.get(needed), str):
            raise MissingPrerequisite(
                f"{name}: {path.name} names no {needed}, so its rows cannot be found from its YAML"
                f"{'; it is a class of Python code' if 'class' in config else ''}; choose another task"
            )
    splits = _splits(name, config, trained_on if at else None)
    metrics = [_metric(name, config, facts) for facts in _metrics(config)]
    metrics.sort(key=lambda one: not _is_known(one))  # the headline is one that can be computed here
    if not metrics or not _is_known(metrics[0]):
        named = ", ".join(str(one["name"]) for one in metrics) or "none is named"
        raise MissingPrerequisite(
            f"{name} has no metric that can be computed here ({named}); choose a task whose items are put together by "
            f"mean, {', '.join(lm.WAYS)}"
        )
    return {
        "name": name,
        "title": f"{config['task']}, as lm-eval has it",
        "paper": "see the task's README in lm-eval",
        "url": ""
        if config["dataset_path"] in BUILDERS
        else f"https://huggingface.co/datasets/{config['dataset_path']}",
        "year": None,
        "licence": "see the data set",
        "version": _version(config),
        "source": _source(name, config, splits),
        "sizes": {},
        "metric": metrics[0],
        "also": [str(one["name"]) for one in metrics[1:]],
        "protocols": ["prompt"],
        "options": {"lm_eval": reference},
    }


def _splits(name: str, config: stock.Config, trained_on: str | None) -> dict[str, JsonValue]:
    """Return our words for the task's splits."""
    own = {key: config.get(f"{key}_split") for key in ("training", "validation", "test", "fewshot")}
    own["fewshot"] = (config.get("fewshot_config") or {}).get("split") or own["fewshot"]
    scored = own["test"] or own["validation"]
    if scored is None:
        raise MissingPrerequisite(f"{name} names neither a test nor a validation split, so lm-eval scores nothing")
    train = trained_on or own["training"]
    if train == scored:
        raise MissingPrerequisite(f"{name} is scored on its split {scored!r}; train it on another one")
    splits: dict[str, JsonValue] = {"evaluation": scored}
    if train:
        splits["train"] = train
    if own["test"] and own["validation"] and own["validation"] not in (train, scored):
        splits["validation"] = own["validation"]
    # Where no split is named for them, lm-eval draws demonstrations from what is trained on, else from what is scored.
    splits["fewshot"] = own["fewshot"] or own["training"] or own["validation"] or scored
    return splits


def _source(name: str, config: stock.Config, splits: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return where the rows are: a data set of the hub, or files."""
    if config["dataset_path"] not in BUILDERS:
        return {"hub": config["dataset_path"], "config": config.get("dataset_name") or "default", "splits": splits}
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    if not isinstance(files, dict):
        raise MissingPrerequisite(
            f"{name} reads files ({config['dataset_path']}); name one for each split, as dataset_kwargs: "
            f"{{data_files: {{train: FILE, validation: FILE}}}}"
        )
    for split in splits.values():
        if not isinstance(files.get(split), str) or not Path(str(files[split])).expanduser().is_file():
            raise MissingPrerequisite(
                f"{name}: data_files names {files.get(split)!r} for the split {split!r}, which is no file here; paths "
                f"are relative to where the command is run"
            )
    return {"splits": {ours: files[split] for ours, split in splits.items()}}


def _metrics(config: stock.Config) -> list[Facts]:
    listed = config.get("metric_list")
    if listed is None:
        return [{"metric": metric} for metric in DEFAULTS[config.get("output_type", "generate_until")]]
    return list(listed)


def _metric(name: str, config: stock.Config, facts: Facts) -> dict[str, JsonValue]:
    """Return what the card says of one metric; how items are put together is part of its name."""
    metric = facts.get("metric")
    if not isinstance(metric, str):
        raise MissingPrerequisite(f"{name} has a metric without a name: {facts}")
    if isinstance(metric, stock.Function):  # a function of the task's own gives the number of an item under its name
        metric = metric.rpartition(".")[2]
    together = facts.get("aggregation", lm.USUAL.get(metric, "mean"))
    if isinstance(together, stock.Function):
        together = lm.NAMES_OF_CODE.get(together, f"code:{together}")
    usual = together == lm.USUAL.get(metric)
    choices = config.get("doc_to_choice")
    ways = len(choices) if isinstance(choices, list | dict) else 0
    return {
        "name": f"mean.{metric}" if together == "mean" else f"lm.{metric}" if usual else f"lm.{metric}:{together}",
        "higher_is_better": bool(facts.get("higher_is_better", metric not in LOWER_IS_BETTER)),
        "unit": "%" if metric in COUNTS_RIGHT else "",
        "chance": 1 / ways if ways and metric in COUNTS_RIGHT and together == "mean" else None,
        "ceiling": 1.0 if metric in COUNTS_RIGHT else None,
    }


def _is_known(metric: dict[str, JsonValue]) -> bool:
    home, _, rest = str(metric["name"]).partition(".")
    return home == "mean" or lm.is_known(rest)


def _version(config: stock.Config) -> int:
    """Return the task's version as a whole number: 2.1 is 201."""
    metadata = config.get("metadata")
    version = metadata.get("version", 0) if isinstance(metadata, dict) else metadata or 0
    try:
        return round(float(version) * 100)
    except (TypeError, ValueError):
        return 0


class Lm(FileTask):
    """A task of lm-eval; only where its rows are files are they read here."""

    def _file(self, split: Split) -> Path:
        return Path(self.card.source.splits[split]).expanduser()


TASK = Lm
