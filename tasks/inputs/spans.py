"""Spans: texts with marked stretches, such as a word whose sense or a pronoun whose meaning is asked for.

Fields: those of ``tasks.inputs.texts``, and ``span1_start``, ``span1_end``, ``span2_start``, ...: places of characters,
the end exclusive. The option ``spans`` says which text each lies in (WiC: one in each). The mean of the last hidden
states of each span's tokens is joined with the vector of the whole text (``tasks.heads.span_vectors``) and goes into a
linear head, as the baseline of SuperGLUE does for WiC (Wang et al. 2019, section 4.1).

A text that is too long is cut around its spans: the longer text first, and as little of what is between and around
them as is needed. Spans that do not fit even so are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from harness.backbone import BackboneFiles, load_model
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples
from harness.splits import Part
from harness.task import TaskCard
from tasks.inputs.texts import Batch, Options, Texts

SIDES = ("text", "text_pair")
Stretch = tuple[int, int]
"""Beginning and end, the end exclusive."""


class Spans(Texts):
    """One task whose items are texts with marked spans."""

    NO_TOKENS = frozenset({"labels", "spans"})

    def __init__(self, card: TaskCard, options: Options) -> None:
        super().__init__(card, options)
        count = 0
        while f"span{count + 1}_start" in card.columns:
            count += 1
        self.sides: tuple[str, ...] = options.spans or ("text",) * count
        wrong = sorted({side for side in self.sides if side not in card.columns})
        if len(self.sides) != count or wrong:
            raise MissingPrerequisite(
                f"{card.name} marks {count} spans, and the option spans places {len(self.sides)} of them"
                f"{f' in {wrong[0]}, which has no column' if wrong else ''}; name text or text_pair once per span"
            )

    def key(self) -> str:
        """Return what tells heads apart."""
        return f"{super().key()} of {len(self.sides)} spans"

    def build(self, files: BackboneFiles, meta: bool) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head over span vectors, and the head's parameter names."""
        from tasks.heads.span_vectors import SpanHeads

        heads = SpanHeads(len(self.sides), reads_last=files.kind == "decoder")
        return load_model(files, heads, meta=meta, **self.head_options())

    def check_export(self) -> None:
        """Raise ``NotApplicable``: the head needs to be told where the spans are."""
        raise NotApplicable(
            f"{self.card.name} marks spans, and transformers has no class whose head reads them, so that nothing could "
            f"open the folder"
        )

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part: token ids, and the tokens of each span as ``spans``.

        Raises:
            MissingPrerequisite: for a span that is outside its text or marks nothing in it, and for spans that
                ``max_length`` tokens cannot hold; by name.
        """
        if not tokenizer.is_fast:
            raise MissingPrerequisite(
                f"{self.card.name} marks characters, and the backbone's {type(tokenizer).__name__} does not tell "
                f"where its tokens lie; name a backbone with a tokenizer.json"
            )
        labels, texts, spans = self.labels(part), self.texts(part), self._spans(part)
        full = tokenizer(*texts.values(), truncation=False, return_offsets_mapping=True, verbose=False)
        keys = [key for key in full if key != "offset_mapping"]
        inputs, truncated, moved = [], 0, 0
        for row, marks in enumerate(spans):
            sequence = full.sequence_ids(row)
            try:
                where = self._tokens(sequence, full["offset_mapping"][row], marks)
                keep = kept(sequence, where, max_length)
            except ValueError as error:
                raise MissingPrerequisite(f"{_name(part, row)}: {error}") from error
            places = {token: place for place, token in enumerate(keep)}
            inputs.append({key: [full[key][row][token] for token in keep] for key in keys})
            inputs[-1]["spans"] = [[places[first], places[end - 1] + 1] for first, end in where]
            truncated += len(keep) < len(sequence)
            moved += inputs[-1]["spans"] != list(map(list, where))
        note = f"{moved} of {len(inputs)} texts of {part.title} were cut before a marked span, which was kept whole"
        return self.examples(part, inputs, labels, truncated, (note,) if moved else ())

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch with ``span_mask`` (rows, spans, longest): true at the tokens of each span."""
        batch = super().collate(examples, rows, tokenizer, device)
        length = batch["input_ids"].shape[1]
        spans = torch.tensor([examples.inputs[row]["spans"] for row in rows])  # (rows, spans, 2)
        places = torch.arange(length)
        mask = (spans[..., :1] <= places) & (places < spans[..., 1:])
        return {**batch, "span_mask": mask.to(device, non_blocking=True)}

    def _tokens(
        self, sequence: Sequence[int | None], offsets: Sequence[Stretch], marks: Sequence[Stretch]
    ) -> list[Stretch]:
        """Return the tokens that share a character with each marked span."""
        where = []
        for side, (start, end) in zip(self.sides, marks, strict=True):
            text = SIDES.index(side)
            found = [
                place
                for place, (of, (begin, stop)) in enumerate(zip(sequence, offsets, strict=True))
                if of == text and begin < end and start < stop
            ]
            if not found:
                raise ValueError(f"its span from {start} to {end} of {side} is nothing to the backbone's tokenizer")
            where.append((found[0], found[-1] + 1))
        return where

    def _spans(self, part: Part) -> list[list[Stretch]]:
        """Return the characters of each row's spans."""
        numbers = range(1, len(self.sides) + 1)
        edges = part.fields(**{f"span{n}_{edge}": int for n in numbers for edge in ("start", "end")})
        texts = self.texts(part)
        found = []
        for row in range(len(texts["text"])):
            marks = [(edges[f"span{n}_start"][row], edges[f"span{n}_end"][row]) for n in numbers]
            for number, (start, end), side in zip(numbers, marks, self.sides, strict=True):
                if not 0 <= start < end <= len(texts[side][row]):
                    raise MissingPrerequisite(
                        f"{_name(part, row)} marks span {number} from {start} to {end}, but its {side} has "
                        f"{len(texts[side][row])} characters; mend the data or the card"
                    )
            found.append(marks)
        return found


def kept(sequence: Sequence[int | None], spans: Sequence[Stretch], room: int) -> list[int]:
    """Return which tokens of a row stay so that at most ``room`` do and every span is whole.

    Args:
        sequence: which text each token is of; null for special tokens, which all stay.
        spans: tokens that must stay.
        room: the largest number of tokens.

    Raises:
        ValueError: if the spans need more.
    """
    if len(sequence) <= room:
        return list(range(len(sequence)))
    texts = sorted({text for text in sequence if text is not None})
    places = {text: [place for place, of in enumerate(sequence) if of == text] for text in texts}
    room -= sum(of is None for of in sequence)
    inside = {text: [span for span in spans if sequence[span[0]] == text] for text in texts}
    needed = {
        text: max((end for _, end in found), default=0) - min((start for start, _ in found), default=0)
        for text, found in inside.items()
    }
    if sum(needed.values()) > room:
        raise ValueError(
            f"its marked spans take {sum(needed.values())} tokens with what is between them, and there is room for "
            f"{room}; raise training.max_length, or leave the row out"
        )
    sizes = _shares([len(places[text]) for text in texts], [needed[text] for text in texts], room)
    windows = set[int]()
    for text, size in zip(texts, sizes, strict=True):
        first = places[text][0]
        begin = 0
        if inside[text]:
            low, high = min(start for start, _ in inside[text]) - first, max(end for _, end in inside[text]) - first
            begin = 0 if high <= size else min((low + high - size) // 2, len(places[text]) - size)
        windows |= set(places[text][begin : begin + size])
    return [place for place, of in enumerate(sequence) if of is None or place in windows]


def _shares(lengths: Sequence[int], needed: Sequence[int], room: int) -> list[int]:
    """Return how many tokens of each text stay: the longest is cut first, but no text below what it needs."""
    sizes = list(lengths)
    for _ in range(sum(lengths) - room):
        sizes[max((size, place) for place, size in enumerate(sizes) if size > needed[place])[1]] -= 1
    return sizes


def _name(part: Part, row: int) -> str:
    return f"row {part.chosen()[row]} of {part.title}"
