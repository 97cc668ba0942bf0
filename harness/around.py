"""Around: an lm-eval task whose rows are given, not downloaded, in surroundings as lm-eval's own evaluation sets them.

lm-eval's own objects do all of it: prompt, demonstrations, choices, filters, the metrics of each item. Ours are the
rows, so that training and validation rows are met by the very code that meets test rows.
"""

from __future__ import annotations

import inspect
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import torch

from harness import stock
from harness.errors import MissingPrerequisite
from harness.former import stand_in
from harness.splits import Part

SEEDS = {"random": 0, "numpy": 1234, "torch": 1234, "demonstrations": 1234}
"""What lm-eval's evaluation seeds each generator with, unless it is asked for another seed."""
ROW = "paretune_row"
"""A column that follows a row through lm-eval's own changes to the rows."""


@contextmanager
def seeded() -> Iterator[None]:
    """Seed every generator as lm-eval's evaluation does, and put all of them back afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(SEEDS["random"])
    np.random.seed(SEEDS["numpy"])
    torch.default_generator.manual_seed(SEEDS["torch"])
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's warnings of what is done on purpose, and progress bars of a few rows, out of the log."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "transformers.generation")]
    levels = [logger.level for logger in loggers]
    bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


@contextmanager
def templates(reference: str) -> Iterator[None]:
    """Fill in a user's templates in a sandbox, unless their code is allowed: a template can reach any Python object."""
    if stock.is_trusted(reference):
        yield
        return
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils  # type: ignore[import-untyped]

    free = utils.env
    utils.env = ImmutableSandboxedEnvironment(
        loader=free.loader, undefined=free.undefined, keep_trailing_newline=free.keep_trailing_newline
    )
    utils.env.filters |= free.filters
    try:
        yield
    finally:
        utils.env = free


def task_around(part: Part, reference: str, rows: Any, num_fewshot: int | None) -> tuple[Any, list[int]]:
    """Return lm-eval's task around rows, and which row each of its documents comes from.

    Args:
        part: whose rows they are.
        reference: of the task, see ``harness.stock``.
        rows: as a ``datasets.Dataset`` (Any: it has no stubs; nor has lm-eval's task).
        num_fewshot: demonstrations in a prompt; null takes the task's own number.

    Raises:
        MissingPrerequisite: for demonstrations that the task or the card has no place for, and rows that are all
            left out.
    """
    from lm_eval.api.task import ConfigurableTask  # type: ignore[import-untyped]
    from lm_eval.tasks._yaml_loader import load_yaml  # type: ignore[import-untyped]

    stand_in()
    config = deepcopy(load_yaml(stock.locate(reference), resolve_func=True))
    base = config.get("class", ConfigurableTask)
    for key in ("class", "tag", "group", "task_list"):
        config.pop(key, None)
    if not isinstance(config.get("metadata", {}), dict):
        config["metadata"] = {"version": config["metadata"]}
    own = config.get("num_fewshot")
    if own == 0 and num_fewshot:
        raise MissingPrerequisite(
            f"{part.task.card.name} is a task without demonstrations (its num_fewshot is 0), which lm-eval never "
            f"overrides; leave num_fewshot out"
        )
    shots = (own or 0) if num_fewshot is None else num_fewshot
    docs, origins = _processed(rows, config.get("process_docs"))
    demonstrations = _demonstrations(part, config, shots)
    kind = type(base.__name__, (_around(base),), {"rows": docs, "demonstrations": demonstrations})
    # As lm-eval does: a class of a task's own may know its configuration already.
    task = kind(config=config) if "config" in inspect.signature(base.__init__).parameters else kind()
    task.set_config(key="num_fewshot", value=shots)
    task.set_fewshot_seed(seed=SEEDS["demonstrations"])
    if demonstrations is not None and _from_one_split(part):
        # lm-eval leaves an example out of its own demonstrations where these are drawn from the split that it names for
        # the test; to the same end, what is trained on is called so where it is what demonstrations are drawn from.
        task.config.test_split = task.fewshot_cfg.split
    return task, origins


def _around(base: Any) -> Any:  # Any: lm-eval's classes, which have no stubs
    class Around(base):  # type: ignore[misc]  # as above
        """An lm-eval task whose documents and demonstrations are given, not downloaded."""

        rows: Any
        demonstrations: list[Any] | None

        def download(self, *args: Any, **kwargs: Any) -> None:
            self.dataset: dict[str, Any] = {}

        @property
        def eval_docs(self) -> Any:
            return self.rows

        def fewshot_docs(self) -> Any:
            samples = getattr(self.fewshot_cfg, "samples", None)
            if self.fewshot_cfg.split is None and samples is not None:
                return samples() if callable(samples) else samples
            return self.demonstrations or []

    return Around


def _processed(rows: Any, process: Callable[[Any], Any] | None) -> tuple[Any, list[int]]:
    """Return the documents that a task makes of rows, and the row of each.

    Raises:
        MissingPrerequisite: if none are left.
    """
    if process is None:
        return rows, list(range(len(rows)))
    marked = process(rows.add_column(ROW, list(range(len(rows)))))
    if ROW in marked.features:
        docs, origins = marked.remove_columns(ROW), list(marked[ROW])
    else:  # the task makes documents of its own columns; met one by one, each tells how many it becomes
        each = [process(rows.select([row])) for row in range(len(rows))]
        docs = process(rows)
        origins = [row for row, made in enumerate(each) for _ in range(len(made))]
        if len(origins) != len(docs):
            raise MissingPrerequisite(
                f"process_docs makes {len(docs)} documents of the rows, {len(origins)} one by one"
            )
    if not len(docs):
        raise MissingPrerequisite("process_docs leaves no document of the rows")
    return docs, origins


def _demonstrations(part: Part, config: stock.Config, shots: int) -> list[Any] | None:  # Any: lm-eval's documents
    """Return the documents that demonstrations are drawn from; null where there are none, or the task lists them."""
    own = config.get("fewshot_config") or {}
    split = own.get("split") or config.get("fewshot_split")
    if not shots or (split is None and own.get("samples") is not None):
        return None
    if "fewshot" not in part.task.card.source.splits:
        raise MissingPrerequisite(
            f"{part.task.card.name} has no split to draw {shots} demonstrations from; name one as fewshot in the "
            f"card's source.splits, or set num_fewshot to 0"
        )
    whole = replace(part, split="fewshot", also=None, indices=None, sealed=False, _cache=[])
    rows = datasets.Dataset(whole.raw().table)
    process = own.get("process_docs", config.get("process_docs")) if split else config.get("process_docs")
    documents = list(process(rows) if process else rows)
    if shots > len(documents):
        raise MissingPrerequisite(
            f"{part.task.card.name} has {len(documents)} rows to draw demonstrations from; {shots} are asked for: set "
            f"num_fewshot to at most {len(documents)}"
        )
    return documents


def _from_one_split(part: Part) -> bool:
    """Return whether a part's rows are trained on and stand in the split that demonstrations are drawn from."""
    splits = part.task.card.source.splits
    return part.split != "evaluation" and splits[part.split] == splits.get("fewshot")
