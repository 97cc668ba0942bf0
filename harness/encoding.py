"""Encoding: the tokens of lm-eval's requests as its own model class forms them, for training and scoring alike."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
from lm_eval.models.utils import normalize_gen_kwargs  # type: ignore[import-untyped]

from harness.errors import MissingPrerequisite
from harness.requests import Asked, Item, answer_text
from harness.sequences import Sequence

Request = tuple[tuple[str, str] | None, list[int], list[int]]
"""lm-eval's form of one request: the texts, the tokens of the context, and those of the continuation."""


OWN_BYTES, PLACE_BYTES, REQUEST_BYTES = 48, 8, 4000
"""Memory of a token (a Python number, its place in a list, its letters), of its place in another sequence, and of a
request with lm-eval's objects around it; together what MMLU's 56,168 requests were seen to take."""


@dataclass(frozen=True)
class Row:
    """What is trained on for one item."""

    answers: tuple[Sequence, ...]
    """All answers of a multiple choice; one sequence otherwise."""
    gold: tuple[int, ...]
    """Which of them are right."""


class Tokens(NamedTuple):
    """The tokens of one item's texts, from which all else follows."""

    pairs: tuple[tuple[list[int], list[int]], ...]
    """Context and continuation of each request, or window of a whole text; where a text is generated of the answer."""
    is_cut: bool = False
    """Whether the prompt of a text to be generated was cut."""


@dataclass(frozen=True)
class Encoded:
    """The tokens of one item."""

    requests: tuple[Request, ...]
    """What is scored, in the order of the item's requests; none where a text is generated."""
    rows: tuple[Row, ...]
    """What is trained on: one row, several windows of a long text, or none where no right answer is known."""
    is_cut: bool
    tokens: Tokens
    """What both are formed of."""

    @property
    def num_bytes(self) -> int:
        """Return about how much memory the item takes: its texts, its tokens, and its sequences of them."""
        own = {id(context): len(context) for context, _ in self.tokens.pairs}  # answers share the context's tokens
        own |= {id(text): len(text) for _, text in self.tokens.pairs}
        places = sum(len(context) + len(text) for context, text in self.tokens.pairs)
        return OWN_BYTES * sum(own.values()) + PLACE_BYTES * places + REQUEST_BYTES * len(self.tokens.pairs)


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
        # The answers of a multiple choice have one context, which lm-eval encodes for each of them.
        self._recent: Callable[..., list[int]] = lru_cache(maxsize=2)(super().tok_encode)

    def tok_encode(self, string: str, **kwargs: Any) -> list[int]:
        """Return the tokens of a text, as lm-eval's class does; what it returned last it need not find out again."""
        return self._recent(string, **kwargs)

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


def encode(
    asked: Asked,
    tokenizer: Any,
    max_length: int,
    known: Many[Tokens] | None = None,
) -> tuple[Encoded, ...]:
    """Return the tokens of every item.

    Args:
        asked: the items.
        tokenizer: of transformers (Any: see ``Backbone``).
        max_length: tokens that a model reads at once.
        known: the tokens of each item where an earlier call found them out; null encodes the texts.

    Raises:
        MissingPrerequisite: for an answer that does not fit into ``max_length`` tokens, or that is empty.
    """
    encoding = Encoding(tokenizer, max_length)
    read = {"generate_until": _generated, "loglikelihood_rolling": _rolling}.get(asked.kind, _likelihood)
    found = []
    for number, item in enumerate(asked.items):
        try:
            tokens = read(encoding, item) if known is None else known[number]
            found.append(_formed(asked, item, tokens, max_length))
        except ValueError as error:
            raise MissingPrerequisite(
                f"{item.task.task_name}, item {item.row}: {error}; raise training.max_length or leave the row out"
            ) from error
    return tuple(found)


def _formed(asked: Asked, item: Item, tokens: Tokens, max_length: int) -> Encoded:
    """Return what is scored and what is trained on of an item with these tokens."""
    sequences = [Sequence.of(context, continuation, max_length) for context, continuation in tokens.pairs]
    if asked.kind == "generate_until":
        return Encoded((), (Row(tuple(sequences), (0,)),), tokens.is_cut, tokens)
    if asked.kind == "loglikelihood_rolling":
        windows = tuple((None, *pair) for pair in tokens.pairs)
        return Encoded(windows, tuple(Row((one,), (0,)) for one in sequences), False, tokens)
    texts = [instance.args for instance in item.instances]
    requests = tuple((text, *pair) for text, pair in zip(texts, tokens.pairs, strict=True))
    answers = tuple(sequences[: item.num_choices or 1])  # behind them stand answers without their context
    gold = item.gold if asked.kind == "multiple_choice" else (0,)
    rows = (Row(answers, gold),) if gold is not None else ()
    return Encoded(requests, rows, any(one.is_cut for one in sequences), tokens)


def _likelihood(encoding: Encoding, item: Item) -> Tokens:
    return Tokens(tuple((context, text) for _, context, text in encoding.pairs(item.instances)))


def _rolling(encoding: Encoding, item: Item) -> Tokens:
    (instance,) = item.instances
    return Tokens(tuple((context, text) for _, context, text in encoding.windows(instance)))


def _generated(encoding: Encoding, item: Item) -> Tokens:
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
    return Tokens(((context, answer),), len(context) < len(encoding.prompt(text)))


def _ending(task: Any, until: Any) -> str | None:  # Any: lm-eval's task, and its stops as YAML has them
    """Return what is trained to stop the generation; null for the end-of-text token."""
    stops = [until] if isinstance(until, str) else list(until or [])
    between = task.config.fewshot_delimiter
    return between if between in stops else stops[0] if stops else None
