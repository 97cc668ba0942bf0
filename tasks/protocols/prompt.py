"""Prompt: a causal language model answers in words; lm-eval asks and scores, and training is on what it asks.

The model is trained on the very requests that it is scored with: an lm-eval task makes them of the rows, lm-eval's
model class encodes them, and the loss is on the tokens of the right continuation only. Texts that are too long are cut
at the beginning, as lm-eval cuts them.

Right continuation: of a multiple choice the right answer (the first, where several are); of several inputs that end
alike the right input's end; of a request for one continuation that one; of a whole text all of it, window by window;
where a text is generated the target as in lm-eval's own demonstrations, and then what stops the generation (what tells
demonstrations apart where that stops it, else the first stop, else the end-of-text token).

Loss of a row: ``continuation``: the mean negative log-likelihood of these tokens. ``candidates``, for multiple choices:
cross-entropy over all answers, of which each has the mean log-likelihood of its tokens as its logit (random masking,
ICML 2024). The loss of a batch is the mean over its rows, so it does not depend on how rows are put together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol, tiny
from harness.around import quiet
from harness.backbone import Backbone, BackboneFiles, load_model, load_tokenizer
from harness.encoding import Encoding, Row, encode
from harness.errors import MissingPrerequisite, NotApplicable
from harness.judge import check, rate
from harness.live import live, respond, respond_rightly
from harness.packing import Packed, pack, unpack
from harness.protocol import Evaluation, Examples, Predictions
from harness.requests import Asked, Item, ask, refuse_unknown_filter
from harness.routing import route
from harness.sequences import token_losses
from harness.splits import Part
from harness.verdicts import PER_TOKEN, RATED, Verdicts, predictions, read, references, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.spec import Training

T = TypeVar("T")


class PromptOptions(protocol.Options):
    """How an lm-eval task is met."""

    lm_eval: str = Field(
        description="name of an lm-eval task, shipped:FILE of ours, or path:FILE.yaml of a user; a column in braces "
        "(mmlu_{subject}) stands for each row's value of it"
    )
    num_fewshot: int | None = Field(default=None, ge=0, description="demonstrations; null takes the task's own number")
    loss: Literal["continuation", "candidates"] = "continuation"
    max_gen_tokens: int | None = Field(default=None, ge=1, description="generated at most; null takes the task's own")
    filter: str | None = Field(default=None, description="which of the task's filters is scored; null takes the first")
    batch_size: int = Field(default=8, ge=1, description="requests per forward pass when scoring")
    chat_template: bool = Field(default=False, description="ask through the model's own chat template")
    judge: str | None = Field(
        default=None, description="for answers that a judge rates: a local model's reference, or an endpoint's URL"
    )
    judge_model: str | None = Field(default=None, description="the name of the judge at that endpoint")


@dataclass(frozen=True)
class Batch:
    """Rows on their way to a device: they become tensors when their loss is asked for."""

    rows: tuple[Row, ...]
    device: torch.device


class Prompt(protocol.Protocol):
    """An lm-eval task, met by a causal language model."""

    KINDS = ("decoder",)
    PACKS = True
    Options = PromptOptions
    options: PromptOptions

    def head_key(self) -> str:
        """Return what tells heads apart: there is none."""
        return "language model"

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the language model, which needs no head: what it says words with is its own."""
        from transformers import AutoModelForCausalLM

        self.refuse_kind(files, "writes text (a causal language model)")
        model, missing = load_model(files, AutoModelForCausalLM, meta=meta)
        if files.folder is not None and not meta and missing:
            raise MissingPrerequisite(
                f"{files.reference} lacks weights of a language model: {', '.join(sorted(missing)[:3])}; name the "
                f"weights of one that was pretrained to write"
            )
        return model, frozenset()

    def load(self, files: BackboneFiles) -> Backbone:
        """Return the loaded language model and its tokenizer."""
        model, head = self.build(files)
        tokenizer = tiny.tokenizer(closed=False) if files.folder is None else load_tokenizer(files)
        return Backbone(files, model, head, tokenizer)

    def check(self, training: Training) -> None:
        """Refuse a judge that could not be asked: it is wanted when all training is done."""
        check(self.options.judge, self.options.judge_model)

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the requests of a part's rows (Any: a transformers tokenizer)."""
        return self._encode(part, tokenizer, max_length)

    def pack(self, examples: Examples) -> pa.Table | None:
        """Return the requests and their tokens: lm-eval fills in templates and encodes row by row."""
        return pack(*(examples.extra[name] for name in ("asked", "encoded", "order")))

    def unpack(self, part: Part, tokenizer: Any, max_length: int, packed: pa.Table) -> Examples:
        """Return the encoded requests, their texts and tokens as they were packed."""
        return self._encode(part, tokenizer, max_length, unpack(packed))

    def _encode(self, part: Part, tokenizer: Any, max_length: int, packed: Sequence[Packed] | None = None) -> Examples:
        options, made = self.options, list[Item]()
        chat = Encoding(tokenizer, max_length).chat() if options.chat_template else None
        told = None if packed is None else (one.told for one in packed)

        def by_one_task(rows: Part, reference: str) -> Asked:
            found = ask(rows, reference, options.num_fewshot, options.max_gen_tokens, chat, told)
            made.extend(found.items)
            return found

        asked = route(part, options.lm_eval, by_one_task)
        # The same instances, in the order of the rows and in that in which they were asked.
        places = {id(item.instances): place for place, item in enumerate(asked.items)}
        order = [places[id(item.instances)] for item in made]
        if self.options.loss == "candidates" and asked.kind != "multiple_choice":
            raise NotApplicable(f"{self.card.name} lists no answers ({asked.kind}); set options.loss to continuation")
        _refuse_unknown(part, asked)
        refuse_unknown_filter(asked, options.filter)
        known = None if packed is None else _sorted([one.tokens for one in packed], order)
        with quiet():
            encoded = encode(asked, tokenizer, max_length, known)
        rows = [row for one in encoded for row in one.rows]
        ids, clusters = part.item_ids(), part.cluster_ids()
        return Examples(
            inputs=rows,
            lengths=np.array([self._length(row) for row in rows], dtype=np.int64),
            item_ids=_named([ids[item.row] for item in asked.items]),
            cluster_ids=tuple(clusters[item.row] for item in asked.items),
            references=references(self.card, part, asked),
            truncated=sum(one.is_cut for one in encoded),
            extra={"asked": asked, "encoded": encoded, "max_length": max_length, "order": order},
            num_bytes=sum(one.num_bytes for one in encoded),
        )

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return some rows; they become tensors when their loss is asked for."""
        return Batch(tuple(examples.inputs[row] for row in rows), device)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean over rows of their loss, in fp32 nats."""
        if self.options.loss == "candidates":
            scores = self._scores(model, batch)
            return torch.stack([_candidates(one, row.gold) for one, row in zip(scores, batch.rows, strict=True)]).mean()
        losses = token_losses(model, [row.answers[row.gold[0]] for row in batch.rows], batch.device)
        return torch.stack([one.mean() for one in losses]).mean()

    def log_likelihoods(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the log-probability of every answer of a multiple choice, (rows, answers) in fp32.

        It is the softmax over what the task's own decision is the largest of: the log-likelihood of an answer, or with
        the loss ``candidates`` its mean over tokens. Rows with fewer answers are filled with minus infinity.

        Raises:
            NotApplicable: where there are no answers to choose from.
        """
        if any(len(row.answers) < 2 for row in batch.rows):
            raise NotApplicable(f"{self.card.name} is no multiple choice: its outcomes cannot be listed")
        mean = self.options.loss == "candidates"
        found = [functional.log_softmax(scores, dim=0) for scores in self._scores(model, batch, mean)]
        return nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=-math.inf)

    def predict(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Ask lm-eval to score the live model; the requests were encoded once and are the same for every model.

        The loss is null where a text is generated: it would take another forward pass, which only ``validate`` makes.
        """
        asked: Asked = examples.extra["asked"]
        with live(model, evaluation.tokenizer, self.options.batch_size, examples.extra["max_length"]) as scorer:
            respond(scorer, asked, examples.extra["encoded"])
        said = self._read(examples)
        loss = self._mean_loss(asked, said)
        unrated: tuple[str, ...] = ()
        if self.options.judge and self.card.metric.name == RATED:
            try:
                kept, ratings, notes = rate(self.options.judge, self.options.judge_model, asked.items, said.texts)
                return Predictions(ratings, loss, kept, notes)
            except MissingPrerequisite as error:  # the answers took a training to get, and can be rated later
                unrated = (f"the answers of {self.card.name} are not rated: {error}",)
        return Predictions(predictions(self.card, said), loss, shown(asked, said), unrated)

    def validate(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Return the predictions, and always the loss."""
        predicted = self.predict(model, examples, evaluation)
        if predicted.loss is not None or examples.extra["asked"].kind != "generate_until":
            return predicted
        total = 0.0
        for rows, batch in evaluation.batches(self, examples):
            with evaluation.autocast():
                total += float(self.loss(model, batch)) * len(rows)
        return replace(predicted, loss=total / len(examples))

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the predictions of a model that holds the right answer for certain, or writes it.

        Raises:
            NotApplicable: for answers that a judge rates.
        """
        if self.card.metric.name == RATED:
            raise NotApplicable("what a judge rates has no answer that is right")
        respond_rightly(examples.extra["asked"])
        return predictions(self.card, self._read(examples))

    def _read(self, examples: Examples) -> Verdicts:
        """Return what the answered requests of some items say."""
        return read(examples.extra["asked"], examples.extra["encoded"], self.options.filter, self._by_token())

    def _by_token(self) -> bool:
        """Return whether a multiple choice is decided by the mean over an answer's tokens."""
        return self.options.loss == "candidates" or self.card.metric.name.endswith(PER_TOKEN)

    def _scores(self, model: nn.Module, batch: Batch, mean: bool = True) -> list[Tensor]:
        """Return the mean log-likelihood (or the sum) of each answer's tokens, one tensor (answers,) per row."""
        losses = token_losses(model, [answer for row in batch.rows for answer in row.answers], batch.device)
        scores = torch.stack([-(one.mean() if mean else one.sum()) for one in losses])
        return list(torch.split(scores, [len(row.answers) for row in batch.rows]))

    def _length(self, row: Row) -> int:
        """Return how many tokens the loss of a row reads."""
        read = row.answers if self.options.loss == "candidates" else row.answers[row.gold[0] : row.gold[0] + 1]
        return sum(map(len, {answer.read for answer in read}))

    def _mean_loss(self, asked: Asked, said: Verdicts) -> float | None:
        """Return the mean loss over the items whose right answer is known, from what was scored; null without any."""
        known = [
            (scores, item.gold or (0,))
            for scores, item in zip(said.means, asked.items, strict=True)
            if scores.size and (item.gold or not item.num_choices)
        ]
        if not known:
            return None
        if self.options.loss == "candidates":
            return float(np.mean([_candidates(torch.tensor(scores), gold) for scores, gold in known]))
        return float(np.mean([-scores[gold[0]] for scores, gold in known]))


def _candidates(scores: Tensor, gold: Sequence[int]) -> Tensor:
    """Return the cross-entropy of logits (answers,) where any of some answers is right."""
    return torch.logsumexp(scores, dim=0) - torch.logsumexp(scores[list(gold)], dim=0)


def _refuse_unknown(part: Part, asked: Asked) -> None:
    """Raise where the right answer of a multiple choice is none of its answers and something needs it."""
    judged = part.split != "train" and all(callable(item.task.config.process_results) for item in asked.items)
    unknown = [item.row for item in asked.items if item.num_choices and item.gold is None]
    if unknown and not judged:
        raise MissingPrerequisite(
            f"{part.title} has {len(unknown)} rows whose right answer is none of the answers, such as row "
            f"{part.chosen()[unknown[0]]}; -1 marks labels that are not public"
        )


def _sorted(values: Sequence[T], order: Sequence[int]) -> list[T]:
    """Return values so that the one at each place of ``order`` stands where that says."""
    placed = dict(zip(order, values, strict=True))
    return [placed[place] for place in range(len(placed))]


def _named(ids: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each item: its row's, numbered where a row makes several."""
    seen: dict[str, int] = {}
    many = {one for one, count in Counter(ids).items() if count > 1}
    names = []
    for one in ids:
        names.append(f"{one}.{seen.get(one, 0)}" if one in many else one)
        seen[one] = seen.get(one, 0) + 1
    return tuple(names)


PROTOCOL = Prompt
