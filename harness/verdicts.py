"""Verdicts: what lm-eval said of its items, as the metrics of a card take it.

For ``mean.*`` and ``lm.*`` a prediction is what lm-eval says of the item, metric name to value, and for a multiple
choice ``acc_per_token``: whether the answer with the largest mean log-likelihood of its tokens is right. For a metric
of classes it is the chosen answer's number; for one of texts the generated text after the task's filter, or the chosen
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.encoding import Encoded
from harness.errors import MissingPrerequisite
from harness.live import Values, judge
from harness.metric import find
from harness.requests import Asked, Item
from harness.splits import Part
from harness.task import TaskCard

PER_TOKEN = "acc_per_token"
CLASSES = ("numbers", "label of a question", "label of a pair")
TEXTS = ("text", "answer", "spans", "texts")
GIVEN = ("given",)
"""What the metrics of each kind of prediction say that they take."""
TOGETHER = {"question_id": "question", "pair_id": "pair"}
"""Fields that say what rows a metric of classes counts together, to what its references call it."""
RATED = "judge.rating"
"""The metric of answers that a judge rates."""


@dataclass(frozen=True)
class Verdicts:
    """What was said of every item, in their order."""

    values: list[Values]
    """lm-eval's per-item values."""
    texts: list[str]
    """What was written, or the chosen answer; empty where neither was asked for."""
    means: list[NDArray[np.float64]]
    """Mean log-likelihood per token of each answer, or of the one asked for; none where a text is generated."""
    chosen: list[int]
    """The answer that a multiple choice is decided for; -1 where there is none to choose from."""


def read(asked: Asked, encoded: Sequence[Encoded], chosen: str | None, per_token: bool) -> Verdicts:
    """Return what was said of answered items.

    Args:
        asked: the answered requests.
        encoded: their tokens.
        chosen: which of the task's filters is scored; null takes the first.
        per_token: whether a multiple choice is decided by the mean log-likelihood of an answer's tokens, not the sum.
    """
    values, texts = judge(asked, chosen)
    means = [_means(item, one) for item, one in zip(asked.items, encoded, strict=True)]
    for item, value, scores in zip(asked.items, values, means, strict=True):
        if item.gold is not None:
            value[PER_TOKEN] = float(int(np.argmax(scores)) in item.gold)
    choices = [
        (int(np.argmax(scores)) if per_token else _likeliest(item)) if item.num_choices else -1
        for item, scores in zip(asked.items, means, strict=True)
    ]
    if asked.kind == "multiple_choice":
        texts = [item.task.doc_to_choice(item.doc)[which] for item, which in zip(asked.items, choices, strict=True)]
    return Verdicts(values, texts, means, choices)


def predictions(card: TaskCard, said: Verdicts) -> Sequence[Any]:
    """Return the predictions as the card's metrics take them (Any: lm-eval's values, classes or texts).

    Raises:
        MissingPrerequisite: for metrics that do not all take the same.
    """
    by_kind: dict[str, Sequence[Any]] = {TEXTS[0]: [text.strip() for text in said.texts], CLASSES[0]: said.chosen}
    return by_kind.get(takes(card), said.values)


def shown(asked: Asked, said: Verdicts) -> Sequence[Any]:
    """Return what is kept of the answers: the choice, the text, or the mean log-likelihood (Any: as said)."""
    likely = [float(scores[0]) if scores.size else None for scores in said.means]
    by_kind: dict[str, Sequence[Any]] = {"multiple_choice": said.chosen, "generate_until": said.texts}
    return by_kind.get(asked.kind, likely)


def takes(card: TaskCard) -> str:
    """Return what the card's metrics take: classes, texts, or all that lm-eval says of an item.

    Raises:
        MissingPrerequisite: if they do not all take the same.
    """
    names = (card.metric.name, *card.also)
    taken = {next((kind for kind in (CLASSES, TEXTS) if find(name).takes in kind), GIVEN) for name in names}
    if len(taken) > 1:
        raise MissingPrerequisite(
            f"the metrics of {card.name} take different predictions ({', '.join(names)}); name those of one "
            f"kind in its variant for prompt"
        )
    (kind,) = taken
    return kind[0]


def references(card: TaskCard, part: Part, asked: Asked) -> list[Any]:  # Any: as the metrics take them
    """Return what the predictions are scored against."""
    taken = takes(card)
    if taken == GIVEN[0]:
        return [str(item.task.doc_to_target(item.doc)) for item in asked.items]
    if taken == TEXTS[0]:
        answers = part.fields(answers=(str, list))["answers"]
        return [answers[item.row] for item in asked.items]
    classes = [item.gold[0] if item.gold else -1 for item in asked.items]
    _check_order(card, part, asked, classes)
    together = [field for field in TOGETHER if field in card.columns]
    if not together:
        return list(classes)
    values, name = part.values(card.columns[together[0]]), TOGETHER[together[0]]
    pairs = zip(classes, asked.items, strict=True)
    return [{"label": right, name: str(values[item.row])} for right, item in pairs]


def _check_order(card: TaskCard, part: Part, asked: Asked, classes: Sequence[int]) -> None:
    """Refuse a task whose answers are not in the order of the card's labels: a class would mean another one."""
    if "label" not in card.columns:
        return
    labels = part.values(card.columns["label"])
    wrong = [item.row for item, right in zip(asked.items, classes, strict=True) if labels[item.row] != right]
    if wrong:
        raise MissingPrerequisite(
            f"{part.title}: {asked.items[0].task.task_name} takes answer {classes[wrong[0]]} of row "
            f"{part.chosen()[wrong[0]]} for right, whose label is {labels[wrong[0]]!r}; list its answers in the "
            f"order of the labels"
        )


def _means(item: Item, encoded: Encoded) -> NDArray[np.float64]:
    """Return the mean log-likelihood per token of each answer, or of the one asked for; none where a text is made."""
    if not encoded.requests:
        return np.zeros(0)
    if not isinstance(item.instances[0].resps[0], tuple):  # a whole text, in windows
        return np.array([item.instances[0].resps[0] / sum(len(text) for _, _, text in encoded.requests)])
    sums = [instance.resps[0][0] for instance in item.instances[: item.num_choices or 1]]
    return np.array(sums) / [len(text) for _, _, text in encoded.requests[: len(sums)]]


def _likeliest(item: Item) -> int:
    return int(np.argmax([one.resps[0][0] for one in item.instances[: item.num_choices]]))
