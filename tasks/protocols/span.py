"""Span: a question, and where in a text its answer stands; an encoder with a head for where spans start and end.

Fields: ``question``, ``context``, and ``answers``, a struct of lists ``text`` and ``answer_start``, as SQuAD has it.

Windows:  question and context are read together. A context that is too long is read in overlapping windows; these are
          the inputs, the questions are the items. A window that does not hold the whole answer points at the null
          position, the first token of the backbone's pattern (``[CLS]``).
Loss:     the mean of the cross-entropies of the start and of the end over all tokens of a window; padding is none.
          Where a question has several answers, the first is trained on; all of them are scored against.
Answer:   the score of a span is its start logit plus its end logit. The best spans of all windows are merged, and the
          best one that is not blank is cut out of the context as it stands there. Where questions may have no answer,
          the null score is the smallest over the windows, as in the scripts of the BERT paper (Devlin et al. 2019,
          section 4.3), and there is no answer if it exceeds the best span's by more than ``null_threshold``.
Backbone: with transformers' own question answering head; MiniLM's pooler, which that leaves out, is not counted in N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol
from harness.backbone import BackboneFiles, load_model
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples, Predictions
from harness.spec import Training
from harness.splits import Part
from tasks.protocols._windows import Offsets, Window, mistake, pattern_length, shortened, windows

Batch = dict[str, Tensor]
OWN = ("null", "first", "count", "start", "end")
"""What a batch has beside the model's own inputs, each (rows,)."""


class SpanOptions(protocol.Options):
    """How contexts are cut into windows, and which spans are answers."""

    stride: int | None = Field(
        default=None, ge=0, description="context tokens that neighbouring windows share; null is a third of max_length"
    )
    max_question_tokens: int = Field(default=64, ge=1, description="a question is cut there, or at half of max_length")
    max_answer_tokens: int = Field(default=30, ge=1, description="longest predicted answer")
    num_best: int = Field(default=20, ge=1, description="spans of each window that are merged")
    unanswerable: bool = Field(default=False, description="whether a question may have no answer in its context")
    null_threshold: float = Field(
        default=0.0, allow_inf_nan=False, description="lead of the null score at which there is no answer"
    )


class Best(NamedTuple):
    """What the model said of one window: the null score, and the best spans by falling score, in context tokens."""

    null: float
    scores: list[float]
    starts: list[int]
    """Counted from the window's first context token."""
    ends: list[int]
    """The last token of each span."""


class Span(protocol.Protocol):
    """A question and its context, met by an encoder that points at the answer."""

    KINDS = ("encoder",)
    Options = SpanOptions
    options: SpanOptions

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head of two outputs per token, and the head's parameter names."""
        from transformers import AutoModelForQuestionAnswering
        from transformers.models.auto.modeling_auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES as KNOWN

        self.refuse_kind(files, "reads text in both directions")
        if files.model_type not in KNOWN:
            raise NotApplicable(
                f"{self.card.name} is met by span, and transformers has no question answering head for a backbone of "
                f"type {files.model_type}"
            )
        return load_model(files, AutoModelForQuestionAnswering, meta=meta)

    def check(self, training: Training) -> None:
        """Refuse windows that have no room, as far as can be said without the tokenizer's pattern (three tokens)."""
        self._question_limit(training.max_length, self._stride(training.max_length), 3)

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part as windows; the references are the lists of accepted texts.

        Raises:
            MissingPrerequisite: for rows or lengths that cannot be used; by name.
        """
        fields = part.fields(question=str, context=str, answers=dict)
        texts, places = self._answers(part, fields["context"], fields["answers"])
        stride = self._stride(max_length)
        limit = self._question_limit(max_length, stride, pattern_length(tokenizer))
        questions = shortened(fields["question"], tokenizer, limit)
        inputs: list[Window] = []
        offsets: list[Offsets] = []
        unheld = 0
        read = windows(questions, fields["context"], tokenizer, max_length, stride)
        for place, (seen, characters) in zip(places, read, strict=True):
            found = [place and window.find(characters, place) for window in seen]
            inputs += [
                replace(window, start=span[0], end=span[1]) if span else window
                for window, span in zip(seen, found, strict=True)
            ]
            offsets.append(characters)
            unheld += place is not None and not any(found)
        note = f"{unheld} of {len(texts)} answers are whole in no window; raise max_length or the option stride"
        return Examples(
            inputs,
            np.array([len(window.tokens["input_ids"]) for window in inputs], dtype=np.int64),
            part.item_ids(),
            part.cluster_ids(),
            texts,
            sum(short != asked for short, asked in zip(questions, fields["question"], strict=True)),
            (note,) if unheld else (),
            {"contexts": fields["context"], "offsets": offsets},
        )

    def _answers(
        self, part: Part, contexts: Sequence[str], answers: Sequence[dict[str, Any]]
    ) -> tuple[list[list[str]], list[tuple[int, int] | None]]:
        """Return the accepted texts of each row, and the place in characters of the first."""
        texts: list[list[str]] = []
        places: list[tuple[int, int] | None] = []
        for row, (context, answer) in enumerate(zip(contexts, answers, strict=True)):
            wrong = mistake(context, answer, self.options.unanswerable)
            if wrong:
                raise MissingPrerequisite(f"{part.title} row {part.chosen()[row]}: {wrong}")
            found, starts = answer["text"], answer["answer_start"]
            texts.append(list(found))
            places.append((starts[0], starts[0] + len(found[0])) if found else None)
        return texts, places

    def _stride(self, max_length: int) -> int:
        return max_length // 3 if self.options.stride is None else self.options.stride

    def _question_limit(self, max_length: int, stride: int, pattern: int) -> int:
        """Return the tokens that a question may have; a window needs room for more context than it shares."""
        limit = min(self.options.max_question_tokens, max_length // 2, max_length - pattern - stride - 1)
        if limit < 1:
            raise MissingPrerequisite(
                f"{self.card.name}: windows of {max_length} tokens that share {stride} have no room for a question; "
                f"lower options.stride or raise training.max_length"
            )
        return limit

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch: the model's inputs (rows, longest), and ``OWN`` (rows,)."""
        lengths = examples.lengths[list(rows)]
        chosen: list[Window] = [examples.inputs[row] for row in rows]
        real = np.arange(lengths.max()) < lengths[:, None]  # (rows, longest)
        arrays = {"attention_mask": real.astype(np.int64)}
        for key in chosen[0].tokens:
            pad = tokenizer.pad_token_id if key == "input_ids" else tokenizer.pad_token_type_id
            arrays[key] = np.full(real.shape, pad, dtype=np.int64)
            arrays[key][real] = np.concatenate([window.tokens[key] for window in chosen])
        arrays |= {key: np.array([getattr(window, key) for window in chosen], dtype=np.int64) for key in OWN}
        return {key: torch.from_numpy(array).to(device, non_blocking=True) for key, array in arrays.items()}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch in fp32."""
        return _loss(*_logits(model, batch), batch)

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Sequence[Best], Tensor]:
        """Return the best spans of each window, and the mean loss."""
        start, end = _logits(model, batch)
        return _best(start, end, batch, self.options), _loss(start, end, batch)

    def answers(self, examples: Examples, outputs: Sequence[Best]) -> Predictions:
        """Merge what was said of the windows of each question into its answer; ``shown`` is its place."""
        by_item: list[list[tuple[Window, Best]]] = [[] for _ in examples.item_ids]
        for window, best in zip(examples.inputs, outputs, strict=True):
            by_item[window.item].append((window, best))
        values, shown = [], []
        for context, offsets, said in zip(examples.extra["contexts"], examples.extra["offsets"], by_item, strict=True):
            score, start, end = _merged(context, offsets, said)
            lead = min(best.null for _, best in said) - score
            if self.options.unanswerable and lead > self.options.null_threshold:
                start = end = 0
            shown.append(f"{start}:{end}" if end else "")
            values.append(self._value(context[start:end], _sigmoid(lead)))
        return Predictions(values, None, shown)

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the first accepted text of each question, or no answer where there is none."""
        return [self._value(texts[0] if texts else "", float(not texts)) for texts in examples.references]

    def _value(self, text: str, probability: float) -> str | dict[str, Any]:  # Any: a text and a number
        return {"text": text, "no_answer_probability": probability} if self.options.unanswerable else text


def _logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return start and end logits in fp32, (rows, longest) each; -inf at padding."""
    said = model(**{key: tensor for key, tensor in batch.items() if key not in OWN})
    padding = batch["attention_mask"] == 0
    start, end = (logits.float().masked_fill(padding, -math.inf) for logits in (said.start_logits, said.end_logits))
    return start, end


def _loss(start: Tensor, end: Tensor, batch: Batch) -> Tensor:
    return (functional.cross_entropy(start, batch["start"]) + functional.cross_entropy(end, batch["end"])) / 2


def _best(start: Tensor, end: Tensor, batch: Batch, options: SpanOptions) -> list[Best]:
    """Return the best spans of each window from start and end logits, (rows, longest) each."""
    start, end = start.double(), end.double()  # so that the order of two sums is that of the exact ones
    null = (start + end).gather(1, batch["null"][:, None])[:, 0]
    place = torch.arange(start.shape[1], device=start.device) - batch["first"][:, None]
    outside = (place < 0) | (place >= batch["count"][:, None])
    start, end = start.masked_fill(outside, -math.inf), end.masked_fill(outside, -math.inf)
    width = min(options.max_answer_tokens, start.shape[1])
    ends = functional.pad(end, (0, width - 1), value=-math.inf).unfold(1, width, 1)  # (rows, longest, width)
    scores = (start[:, :, None] + ends).flatten(1)
    top, index = scores.topk(min(options.num_best, scores.shape[1]), dim=1)
    starts = index // width - batch["first"][:, None]
    last = starts + index % width
    possible = torch.isfinite(top).tolist()
    return [
        Best(lowest, *([value for value, keep in zip(column, kept, strict=True) if keep] for column in columns))
        for lowest, kept, *columns in zip(
            null.tolist(), possible, top.tolist(), starts.tolist(), last.tolist(), strict=True
        )
    ]


def _merged(context: str, offsets: Offsets, said: Sequence[tuple[Window, Best]]) -> tuple[float, int, int]:
    """Return the score and the characters of the best span that is not blank; -inf and nothing where there is none."""
    spans = [
        (score, -(window.skipped + start), window.skipped + start, window.skipped + end)
        for window, best in said
        for score, start, end in zip(best.scores, best.starts, best.ends, strict=True)
    ]
    for score, _, first, last in sorted(spans, reverse=True):  # of equal ones the earlier
        text = context[offsets[first, 0] : offsets[last, 1]]
        if text.strip():
            start = int(offsets[first, 0]) + len(text) - len(text.lstrip())
            return score, start, start + len(text.strip())
    return -math.inf, 0, 0


def _sigmoid(lead: float) -> float:
    """Return the probability of no answer against the best one."""
    return 1 / (1 + math.exp(-lead)) if lead > -700 else 0.0  # beyond, the exponential is out of range


PROTOCOL = Span
