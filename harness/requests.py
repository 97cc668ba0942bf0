"""Requests: an lm-eval task around rows of ours, and the requests that it makes of them.

lm-eval's own objects do all of it: prompt, demonstrations, choices, filters, the metrics of each item. Ours are the
rows, so that training and validation rows are met by the very code that meets test rows, and nothing is downloaded.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import torch

from harness import stock
from harness.errors import MissingPrerequisite, NotApplicable
from harness.former import stand_in
from harness.splits import Part

SEEDS = {"random": 0, "numpy": 1234, "torch": 1234, "demonstrations": 1234}
"""What lm-eval's evaluation seeds each generator with, unless it is asked for another seed."""
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "max_length")
"""What a task may call the number of tokens generated at most."""
ROW = "paretune_row"
"""A column that follows a row through lm-eval's own changes to the rows."""


@dataclass(frozen=True)
class Item:
    """One scored example: what lm-eval asks of the model for it."""

    task: Any  # Any: lm-eval's ConfigurableTask, which has no stubs
    doc: dict[str, Any]  # Any: a row as lm-eval has it
    row: int
    """Which of the part's chosen rows it comes from."""
    instances: tuple[Any, ...]  # Any: lm-eval's Instance, which has no stubs
    num_choices: int
    """Answers of a multiple choice, else 0."""
    gold: tuple[int, ...] | None
    """Of a multiple choice, which answers are right; null where none of them is."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the rows of one part, by one lm-eval task or by several of one kind."""

    kind: str
    """lm-eval's output type: multiple_choice, loglikelihood, loglikelihood_rolling or generate_until."""
    items: tuple[Item, ...]


def ask(
    part: Part,
    reference: str,
    num_fewshot: int | None = None,
    max_gen_tokens: int | None = None,
    chat: Callable[..., str] | None = None,
) -> Asked:
    """Return the requests of some rows.

    Args:
        part: the rows.
        reference: of the task, see ``harness.stock``.
        num_fewshot: demonstrations in a prompt; null takes the task's own number.
        max_gen_tokens: tokens that are generated at most; null takes the task's own number.
        chat: writes turns of a chat as one text, as lm-eval calls it; null asks in plain text.

    Raises:
        MissingPrerequisite: for a task that cannot be used, or rows that it cannot read.
        NotApplicable: for one that is scored in a way that training does not know.
    """
    rows = part.raw().table.take(part.chosen())
    if not rows.num_rows:
        raise MissingPrerequisite(f"{part.title} has no rows; raise sizes or check the data")
    stock.check_code(reference)
    with quiet(), seeded(), _templates(reference):
        try:
            task, origins = _task(part, reference, datasets.Dataset(rows), num_fewshot)
            if max_gen_tokens is not None and task.OUTPUT_TYPE == "generate_until":
                wanted = {key: value for key, value in task.config.generation_kwargs.items() if key not in LIMITS}
                task.set_config(key="generation_kwargs", value=wanted | {"max_gen_toks": max_gen_tokens})
            items = tuple(_items(task, origins, chat))
        except (MissingPrerequisite, NotApplicable):
            raise
        except Exception as error:  # a task's templates and functions raise anything on rows they do not know
            raise MissingPrerequisite(
                f"{part.title} cannot be read by the lm-eval task {reference}: {type(error).__name__}: {error}; it "
                f"has the columns {', '.join(rows.column_names)}"
            ) from error
    kinds = {instance.request_type for item in items for instance in item.instances}
    if len(kinds) != 1:
        raise NotApplicable(
            f"{part.task.card.name} asks for {' and '.join(sorted(kinds))} at once, which prompt cannot train on"
        )
    return Asked(str(task.OUTPUT_TYPE), items)


def answer_text(item: Item, ending: str) -> str:
    """Return what follows an item's prompt where a text is generated: as in lm-eval's demonstrations, ending included.

    Args:
        item: what is asked.
        ending: what stops the generation; it stands where demonstrations are told apart.
    """
    task, doc = item.task, item.doc
    choices = task.doc_to_choice(doc) if task.config.doc_to_choice else None
    target = task.doc_to_target(doc)
    if not isinstance(target, str | list) and choices is None:
        target = str(target)  # as lm-eval does before it compares
    turns = {
        "q": task.doc_to_text(doc),
        "c": choices,
        "gen_prefix": task.doc_to_prefix(doc),
        "tgt_delim": task.config.target_delimiter,
    }
    asked_for = "".join(turn.to_text() for turn in task.build_qa_turn(**turns, few_delim=""))
    answered = "".join(turn.to_text() for turn in task.build_qa_turn(**turns, a=target, few_delim=ending))
    if not answered.startswith(asked_for):
        raise MissingPrerequisite(f"{task.task_name}: the prompt {asked_for[-40:]!r} does not begin its answer")
    return answered[len(asked_for) :]


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
def _templates(reference: str) -> Iterator[None]:
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


def _task(part: Part, reference: str, rows: Any, num_fewshot: int | None) -> tuple[Any, list[int]]:
    """Return lm-eval's task around rows, and which row each of its documents comes from."""
    from lm_eval.api.task import ConfigurableTask  # type: ignore[import-untyped]
    from lm_eval.tasks._yaml_loader import load_yaml  # type: ignore[import-untyped]

    stand_in()
    config = deepcopy(load_yaml(stock.locate(reference), resolve_func=True))
    base = config.get("class", ConfigurableTask)
    for key in ("tag", "group", "task_list"):
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
    task = kind() if "class" in config else kind(config=config)
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
    return list(process(rows) if process else rows)


def _from_one_split(part: Part) -> bool:
    """Return whether a part's rows are trained on and stand in the split that demonstrations are drawn from."""
    splits = part.task.card.source.splits
    return part.split != "evaluation" and splits[part.split] == splits.get("fewshot")


def _items(task: Any, origins: list[int], chat: Callable[..., str] | None) -> Iterator[Item]:
    """Yield the items in the order of the documents, built as lm-eval's ``build_all_requests`` does."""
    for number, (doc, row) in enumerate(zip(task.eval_docs, origins, strict=True)):
        context = task.fewshot_context(
            doc,
            num_fewshot=task.config.num_fewshot,
            system_instruction=None,
            apply_chat_template=chat is not None,
            fewshot_as_multiturn=chat is not None,
            chat_template=chat,
            gen_prefix=task.doc_to_prefix(doc),
        )
        made = task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(task.config["task"], number, task.config.repeats),
            apply_chat_template=chat is not None,
            chat_template=chat,
        )
        instances = tuple(made) if isinstance(made, list) else (made,)
        choices = task.doc_to_choice(doc) if task.OUTPUT_TYPE == "multiple_choice" else []
        yield Item(task, doc, row, instances, len(choices), _gold(task, doc, choices) if choices else None)


def _gold(task: Any, doc: Any, choices: list[str]) -> tuple[int, ...] | None:  # Any: lm-eval's task and its document
    """Return which choices lm-eval takes for right, by its rules; null where it takes none."""
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    if isinstance(gold, str):
        gold = choices.index(gold) if gold in choices else -1
    right = tuple(int(one) for one in (gold if isinstance(gold, list) else [gold]) if 0 <= int(one) < len(choices))
    return right or None
