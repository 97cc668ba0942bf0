"""Live: lm-eval scores a model in memory, and leaves no trace on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
from torch import nn

from harness.around import quiet, seeded
from harness.encoding import Encoded
from harness.errors import UnknownName
from harness.requests import Asked, Item

WRONG = -1e4
"""The log-likelihood of what a model that is always right says of a wrong answer."""
Values = dict[str, Any]
"""Metric name to what lm-eval says of one item (Any: a number, or what the metric's own aggregation takes)."""


@contextmanager
def live(model: nn.Module, tokenizer: Any, batch_size: int, max_length: int) -> Iterator[Any]:
    """Yield lm-eval's model around one in memory (Any: a tokenizer, and lm-eval's class, which have no stubs).

    lm-eval puts a model into evaluation mode (its caller puts that back), ties its weights anew, which must not undo
    what a method did to them, and may draw from the global generators.
    """
    kept = tokenizer.pad_token, tokenizer.padding_side
    narrow = next(model.parameters()).dtype == torch.bfloat16
    model.tie_weights = lambda *args, **kwargs: None  # type: ignore[assignment]  # a method, and no module's part
    try:
        with quiet(), seeded():
            yield HFLM(
                pretrained=model,
                tokenizer=tokenizer,
                backend="causal",
                batch_size=batch_size,
                max_length=max_length,
                softmax_dtype="float32" if narrow else None,
                mixed_precision_dtype="bfloat16" if narrow else None,
            )
    finally:
        del model.tie_weights
        tokenizer.pad_token, tokenizer.padding_side = kept


def respond(scorer: Any, asked: Asked, encoded: Sequence[Encoded]) -> None:  # Any: as above
    """Answer every request, in the batches and the order that lm-eval's own evaluation forms.

    The likelihood requests are those that were encoded before, so that a model's second scoring encodes nothing.
    """
    instances, requests = [], []
    for item, tokens in zip(asked.items, encoded, strict=True):
        for number, instance in enumerate(item.instances):
            instance.resps, instance.filtered_resps = [], {}
            instances += [instance] * instance.repeats
            requests += list(tokens.requests[number : number + 1]) * instance.repeats
    if asked.kind in ("multiple_choice", "loglikelihood"):
        answers = scorer._loglikelihood_tokens(requests, disable_tqdm=True)
    else:
        answers = getattr(scorer, asked.kind)(instances, disable_tqdm=True)
    for instance, answer in zip(instances, answers, strict=True):
        instance.resps.append(answer)


def respond_rightly(asked: Asked) -> None:
    """Answer every request as a model does that holds the right answer for certain, or writes the first right one."""
    for item in asked.items:
        for number, instance in enumerate(item.instances):
            is_right = item.gold is None or number in item.gold
            said: dict[str, Any] = {"generate_until": _right_text(item), "loglikelihood_rolling": 0.0}
            response = said.get(asked.kind, (0.0, True) if is_right else (WRONG, False))
            instance.resps, instance.filtered_resps = [response] * instance.repeats, {}


def _right_text(item: Item) -> str:
    target = item.task.doc_to_target(item.doc)
    first = target[0] if isinstance(target, list) and target else target
    choices = item.task.doc_to_choice(item.doc) if item.task.config.doc_to_choice else None
    return str(choices[first] if choices and isinstance(first, int) else first)


def judge(asked: Asked, chosen: str | None = None) -> tuple[list[Values], list[str]]:
    """Return what lm-eval says of every answered item, and the text it says it of (empty where none is generated).

    Args:
        asked: the answered requests.
        chosen: which of the task's filters is scored; null takes the first.

    Raises:
        UnknownName: for a filter that the task does not have.
    """
    with quiet(), seeded():
        for task in {id(item.task): item.task for item in asked.items}.values():
            task._instances = [instance for item in asked.items if item.task is task for instance in item.instances]
            task.apply_filters()
        known = list(asked.items[0].instances[0].filtered_resps)
        if chosen is not None and chosen not in known:
            raise UnknownName("filter", chosen, known, asked.items[0].task.task_name)
        responses = [[one.filtered_resps[chosen or known[0]] for one in item.instances] for item in asked.items]
        values = [
            dict(item.task.process_results(item.doc, response))
            for item, response in zip(asked.items, responses, strict=True)
        ]
    return values, [str(response[0]) if asked.kind == "generate_until" else "" for response in responses]
