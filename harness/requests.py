"""Requests: what an lm-eval task around rows of ours asks of a model, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import datasets
from lm_eval.api.instance import Instance  # type: ignore[import-untyped]

from harness import stock
from harness.around import quiet, seeded, task_around, templates
from harness.errors import MissingPrerequisite, NotApplicable, UnknownName
from harness.splits import Part

LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "max_length")
"""What a task may call the number of tokens generated at most."""


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


class Told(NamedTuple):
    """What is asked by one of lm-eval's instances, as an earlier call made it."""

    kind: str
    place: int
    """Among the instances of its document."""
    arguments: tuple[Any, ...]  # Any: texts, and how a text is generated


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
    told: Iterator[Sequence[Told]] | None = None,
) -> Asked:
    """Return the requests of some rows.

    Args:
        part: the rows.
        reference: of the task, see ``harness.stock``.
        num_fewshot: demonstrations in a prompt; null takes the task's own number.
        max_gen_tokens: tokens that are generated at most; null takes the task's own number.
        chat: writes turns of a chat as one text, as lm-eval calls it; null asks in plain text.
        told: what an earlier call with the same values asked of each document; null fills in the templates.

    Raises:
        MissingPrerequisite: for a task that cannot be used, or rows that it cannot read.
        NotApplicable: for one that is scored in a way that training does not know.
    """
    rows = part.raw().table.take(part.chosen())
    if not rows.num_rows:
        raise MissingPrerequisite(f"{part.title} has no rows; raise sizes or check the data")
    stock.check_code(reference)
    with quiet(), seeded(), templates(reference):
        try:
            _check_labels(part, reference, rows)
            task, origins = task_around(part, reference, datasets.Dataset(rows), num_fewshot)
            if max_gen_tokens is not None and task.OUTPUT_TYPE == "generate_until":
                wanted = {key: value for key, value in task.config.generation_kwargs.items() if key not in LIMITS}
                task.set_config(key="generation_kwargs", value=wanted | {"max_gen_toks": max_gen_tokens})
            items = tuple(_items(task, origins, chat, told))
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


def refuse_unknown_filter(asked: Asked, chosen: str | None) -> None:
    """Refuse a filter that a task does not have: it is looked for when all is answered.

    Raises:
        UnknownName: offering those that it has.
    """
    for task in {id(item.task): item.task for item in asked.items}.values():
        known = [one.name for one in task._filters]
        if chosen is not None and chosen not in known:
            raise UnknownName("filter", chosen, known, task.task_name)


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


def _check_labels(part: Part, reference: str, rows: Any) -> None:  # Any: an Arrow table, which has no stubs
    """Refuse numbers of answers that are not listed, where the task's YAML tells; lm-eval only fails to look them up.

    Raises:
        MissingPrerequisite: naming row, label, and what is allowed.
    """
    config = stock.read(stock.locate(reference))
    column, choices = config.get("doc_to_target"), config.get("doc_to_choice")
    if type(column) is not str or column not in rows.column_names or not isinstance(choices, list):
        return  # a template, a function or a text says what is right
    if config.get("process_docs") is not None:
        return  # what is in the column is another thing then
    for row, label in enumerate(rows.column(column).to_pylist()):
        if type(label) is int and not -1 <= label < len(choices):
            raise MissingPrerequisite(
                f"{part.title}: row {part.chosen()[row]} has the label {label} in column {column}; {reference} lists "
                f"{len(choices)} answers, so 0 to {len(choices) - 1} are allowed ({', '.join(map(str, choices))}), "
                f"and -1 for labels that are not public; mend the data, or doc_to_choice"
            )


def _items(
    task: Any, origins: list[int], chat: Callable[..., str] | None, told: Iterator[Sequence[Told]] | None
) -> Iterator[Item]:
    """Yield the items in the order of the documents, built as lm-eval's ``build_all_requests`` does."""
    for number, (doc, row) in enumerate(zip(task.eval_docs, origins, strict=True)):
        metadata = (task.config["task"], number, task.config.repeats)
        if told is None:
            instances = _asked_of(task, doc, metadata, chat)
        else:
            instances = tuple(Instance(one.kind, doc, one.arguments, one.place, metadata) for one in next(told))
        choices = task.doc_to_choice(doc) if task.OUTPUT_TYPE == "multiple_choice" else []
        yield Item(task, doc, row, instances, len(choices), _gold(task, doc, choices) if choices else None)


def _asked_of(
    task: Any, doc: Any, metadata: tuple[Any, ...], chat: Callable[..., str] | None
) -> tuple[Any, ...]:  # Any: lm-eval's task, its document and its instances
    """Return what is asked of one document."""
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
        metadata=metadata,
        apply_chat_template=chat is not None,
        chat_template=chat,
    )
    return tuple(made) if isinstance(made, list) else (made,)


def _gold(task: Any, doc: Any, choices: list[str]) -> tuple[int, ...] | None:  # Any: lm-eval's task and its document
    """Return which choices lm-eval takes for right, by its rules; null where it takes none."""
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    if isinstance(gold, str):
        gold = choices.index(gold) if gold in choices else -1
    right = tuple(int(one) for one in (gold if isinstance(gold, list) else [gold]) if 0 <= int(one) < len(choices))
    return right or None
