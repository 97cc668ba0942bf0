"""Windows: a question with each stretch of a context that is too long for a backbone, and where an answer lies there.

The stretches overlap, so that an answer which one of them cuts is whole in another. Places in the context are
characters of the row as it came: what is cut out by them is the text itself and not what tokens are decoded to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MissingPrerequisite

Offsets = NDArray[np.int32]
"""The characters (start, end) that each token of a context stands for, (tokens, 2)."""
ROWS_AT_ONCE = 500
"""Rows given to the tokenizer in one call, which bounds the memory of what it returns."""


@dataclass(frozen=True)
class Window:
    """One input: a question with a stretch of its context, and the positions that a model should point at."""

    item: int
    """Number of the row."""
    tokens: dict[str, NDArray[np.int32]]
    """The model's inputs, each (length,); the attention mask is all ones and left out."""
    null: int
    """Position that stands for no answer."""
    first: int
    """Position of the first context token."""
    count: int
    """Context tokens in this window."""
    skipped: int
    """Context tokens before this window."""
    start: int
    end: int
    """First and last token of the answer; the null position where it is not wholly here."""

    def find(self, offsets: Offsets, place: tuple[int, int]) -> tuple[int, int] | None:
        """Return the positions of the first and the last token of some characters; null where not all are here."""
        first = int(np.searchsorted(offsets[:, 1], place[0], side="right")) - self.skipped
        last = int(np.searchsorted(offsets[:, 0], place[1], side="left")) - 1 - self.skipped
        return (self.first + first, self.first + last) if 0 <= first <= last < self.count else None


def pattern_length(tokenizer: Any) -> int:
    """Return the tokens that a tokenizer puts around a question and its context (Any: one of transformers).

    Raises:
        MissingPrerequisite: for one that does not say which characters a token stands for.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise MissingPrerequisite(
            f"answers are found by the characters that a token stands for, which {type(tokenizer).__name__} does not "
            f"say; use a backbone with a tokenizer.json"
        )
    added: int = tokenizer.num_special_tokens_to_add(pair=True)
    return added


def shortened(questions: Sequence[str], tokenizer: Any, limit: int) -> list[str]:
    """Return each question, one with more than ``limit`` tokens cut at its end (Any: a transformers tokenizer)."""
    tokens = tokenizer(list(questions), add_special_tokens=False, verbose=False)["input_ids"]
    return [
        _cut(question, tokenizer, limit) if len(ids) > limit else question
        for question, ids in zip(questions, tokens, strict=True)
    ]


def _cut(question: str, tokenizer: Any, limit: int) -> str:
    for allowed in range(limit, 0, -1):
        places = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        if len(places["input_ids"]) <= limit:
            return question
        # The rest of a word may be read as more tokens than it was before; then one less is allowed.
        question = question[: places["offset_mapping"][allowed - 1][1]]
    return ""


def windows(
    questions: Sequence[str], contexts: Sequence[str], tokenizer: Any, max_length: int, stride: int
) -> Iterator[tuple[list[Window], Offsets]]:
    """Yield the windows of each row, pointing at the null position yet, and what its context's tokens stand for.

    Args:
        questions: each leaves room for more than ``stride`` context tokens.
        contexts: one to a question.
        tokenizer: a fast one (Any: those of transformers have no common typed base).
        max_length: tokens of a window.
        stride: context tokens that neighbouring windows share.
    """
    for at in range(0, len(questions), ROWS_AT_ONCE):
        chunk = slice(at, at + ROWS_AT_ONCE)
        encoded = tokenizer(
            questions[chunk],
            contexts[chunk],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        found: list[list[Window]] = [[] for _ in questions[chunk]]
        spans: list[list[Offsets]] = [[] for _ in questions[chunk]]
        for place, row in enumerate(encoded["overflow_to_sample_mapping"]):
            ours = np.array([side == 1 for side in encoded.sequence_ids(place)])
            before = found[row][-1] if found[row] else None
            skipped = before.skipped + before.count - stride if before else 0
            found[row].append(_window(at + row, encoded, place, ours, skipped, tokenizer))
            characters = np.array(encoded["offset_mapping"][place], dtype=np.int32)[ours]
            spans[row].append(characters[stride:] if before else characters)  # each token once
        for seen, parts in zip(found, spans, strict=True):
            yield seen, np.concatenate(parts)


def _window(
    item: int, encoded: Any, place: int, ours: NDArray[np.bool_], skipped: int, tokenizer: Any
) -> Window:  # Any: a batch of transformers, and its tokenizer
    keys = [key for key in ("input_ids", "token_type_ids") if key in encoded]
    tokens = {key: np.array(encoded[key][place], dtype=np.int32) for key in keys}
    pattern = np.flatnonzero(tokens["input_ids"] == tokenizer.cls_token_id)
    null = int(pattern[0]) if pattern.size else 0
    return Window(item, tokens, null, int(ours.argmax()), int(ours.sum()), skipped, null, null)


def mistake(context: str, answers: Mapping[str, Any], may_be_none: bool) -> str | None:
    """Say what is wrong with a row's answers, without its text; null where nothing is (Any: values as they came)."""
    texts, starts = answers.get("text"), answers.get("answer_start")
    if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
        return f"answers must have lists text and answer_start, equally long; came: {', '.join(answers) or 'nothing'}"
    if not texts and not may_be_none:
        return "it has no answer; leave it out, or set the option unanswerable if that is meant"
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not isinstance(start, int) or not text:
            came = "an empty text" if text == "" else f"{type(text).__name__} and {type(start).__name__}"
            return f"an answer is a text that is not empty and a whole number, its start; {came} came"
        if start < 0 or not context.startswith(text, start):
            place = context.find(text)
            return (
                f"an answer of {len(text)} characters is not at its answer_start {start} in the context of "
                f"{len(context)} characters; {f'it is at {place}' if place >= 0 else 'it is nowhere'}; mend the data"
            )
    return None
