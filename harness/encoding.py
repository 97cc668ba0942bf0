"""Encoding: the tokens of lm-eval's requests as its own model class forms them, for training and scoring alike."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
from lm_eval.models.utils import normalize_gen_kwargs  # type: ignore[import-untyped]

from harness.errors import MissingPrerequisite
from harness.requests import Asked, Item, answer_text
from harness.sequences import Sequence

Request = tuple[tuple[str, str] | None, list[int], list[int]]
"""lm-eval's form of one request: the texts, the tokens of the context, and those of the continuation."""


@dataclass(frozen=True)
class Row:
    """What is trained on for one item."""

    answers: tuple[Sequence, ...]
    """All answers of a multiple choice; one sequence otherwise."""
    gold: tuple[int, ...]
    """Which of them are right."""


@dataclass(frozen=True)
class Encoded:
    """The tokens of one item."""

    requests: tuple[Request, ...]
    """What is scored, in the order of the item's requests; none where a text is generated."""
    rows: tuple[Row, ...]
    """What is trained on: one row, several windows of a long text, or none where no right answer is known."""
    is_cut: bool


class Encoding(HFLM):  # type: ignore[misc]  # it has no stubs
    """lm-eval's encoding without a model: it returns the tokens that scoring would read."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:  # Any: a transformers tokenizer
        # The base class would load a model; encoding needs nothing but what is set here.
        super(HFLM, self).__init__()
        self.tokenizer = tokenizer
        self.backend = "causal"
        self.add_bos_token = None
        self.custom_prefix_token_id = None
        self.enable_thinking = False
        self.batch_size_per_gpu = 1
        self._max_length = max_length
        self._seen: list[Request] = []

    def _loglikelihood_tokens(self, requests: Any, **kwargs: Any) -> list[tuple[float, bool]]:  # Any: lm-eval's own
        self._seen += list(requests)
        return [(0.0, True)] * len(requests)

    def pairs(self, instances: Many[Any]) -> tuple[Request, ...]:  # Any: lm-eval's instances, here and below
        """Return the tokens of requests for the likelihood of a continuation."""
        self._seen = []
        self.loglikelihood(list(instances), disable_tqdm=True)
        return tuple(self._seen)

    def windows(self, instance: Any) -> tuple[Request, ...]:
        """Return the tokens of a request for the likelihood of a whole text, window by window."""
        self._seen = []
        self.loglikelihood_rolling([instance], disable_tqdm=True)
        return tuple(self._seen)

    def prompt(self, text: str, room: int | None = None) -> list[int]:
        """Return the tokens of a text to be continued by at most ``room`` tokens, cut for it; null cuts nothing."""
        left = None if room is None else self.max_length - room
        ids: list[int] = self.tok_batch_encode([text], left_truncate_len=left)[0][0].tolist()
        return ids

    def chat(self) -> Callable[..., str]:
        """Return what writes turns of a chat as one text.

        Raises:
            MissingPrerequisite: for a tokenizer that has no template for it.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            raise MissingPrerequisite(
                "this backbone's tokenizer has no chat template; leave the option chat_template out, or take the "
                "weights of a model that was trained to chat"
            )
        self.chat_template_args: dict[str, Any] = {}
        found: Callable[..., str] = self.apply_chat_template
        return found

    def continued(self, text: str, continuation: str) -> list[int]:
        """Return the tokens of a continuation: those that follow the text's own, or its own where they merge."""
        before, whole = self.prompt(text), self.prompt(text + continuation)
        if whole[: len(before)] == before and len(whole) > len(before):
            return whole[len(before) :]
        return list(self.tok_encode(continuation, add_special_tokens=False))


def encode(asked: Asked, tokenizer: Any, max_length: int) -> tuple[Encoded, ...]:  # Any: a transformers tokenizer
    """Return the tokens of every item.

    Raises:
        MissingPrerequisite: for an answer that does not fit into ``max_length`` tokens, or that is empty.
    """
    encoding = Encoding(tokenizer, max_length)
    form = {"generate_until": _generated, "loglikelihood_rolling": _rolling}.get(asked.kind, _likelihood)
    found = []
    for item in asked.items:
        try:
            found.append(form(encoding, asked, item))
        except ValueError as error:
            raise MissingPrerequisite(
                f"{item.task.task_name}, item {item.row}: {error}; raise training.max_length or leave the row out"
            ) from error
    return tuple(found)


def _likelihood(encoding: Encoding, asked: Asked, item: Item) -> Encoded:
    requests = encoding.pairs(item.instances)
    sequences = [Sequence.of(context, continuation, encoding.max_length) for _, context, continuation in requests]
    answers = tuple(sequences[: item.num_choices or 1])  # behind them stand answers without their context
    gold = item.gold if asked.kind == "multiple_choice" else (0,)
    rows = (Row(answers, gold),) if gold is not None else ()
    return Encoded(requests, rows, any(one.is_cut for one in sequences))


def _rolling(encoding: Encoding, asked: Asked, item: Item) -> Encoded:
    (instance,) = item.instances
    requests = encoding.windows(instance)
    rows = [Row((Sequence.of(context, text, encoding.max_length),), (0,)) for _, context, text in requests]
    return Encoded(requests, tuple(rows), False)


def _generated(encoding: Encoding, asked: Asked, item: Item) -> Encoded:
    (instance,) = item.instances
    text, asked_for = instance.args
    arguments = normalize_gen_kwargs(asked_for, encoding.max_gen_toks)
    room = int(arguments["max_gen_toks"])
    if room >= encoding.max_length:
        raise ValueError(
            f"up to {room} tokens are generated, and {encoding.max_length} are all that is read; lower "
            f"options.max_gen_tokens"
        )
    context = encoding.prompt(text, room)
    ending = _ending(item.task, arguments["until"])
    answer = encoding.continued(text, answer_text(item, ending or ""))
    answer = [*answer, *([] if ending else [encoding.eot_token_id])][:room]
    row = Row((Sequence.of(context, answer, encoding.max_length),), (0,))
    return Encoded((), (row,), len(context) < len(encoding.prompt(text)))


def _ending(task: Any, until: Any) -> str | None:  # Any: lm-eval's task, and its stops as YAML has them
    """Return what is trained to stop the generation; null for the end-of-text token."""
    stops = [until] if isinstance(until, str) else list(until or [])
    between = task.config.fewshot_delimiter
    return between if between in stops else stops[0] if stops else None
