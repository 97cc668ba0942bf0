"""Generate: a meaning representation, written as one line, to text; a causal language model as it is, with no head.

Fields: ``source`` (the line), ``target`` (a text, or a list of texts that say the same). The model reads

    source  separator  target  end

where the separator is the tokenizer's beginning-of-text token (end-of-text where it has none), as in the GPT-2
experiments of LoRA and PST. The loss is the mean over the tokens of targets and their ends, with label smoothing e:

    (1 - e) * -log p(token)  +  e * mean over the vocabulary of -log p

The validation loss has none. Every text of a list is an input of its own to train on. Rows with one value in
the card's ``cluster`` column are one item, known by its first row, with all their texts as references (or the first
``max_references``, as official scripts have it).

Text is written by beam search: the largest sum of log-probabilities divided by tokens ** length_penalty. No n-gram
comes twice in what is written; the source does not count, as in LoRA's decoder: its words are there to be copied.

Cut: a source keeps its last ``max_length - max_new_tokens - 1`` tokens, in training and scoring alike, and a target has
what is left of ``max_length``, never less than ``max_new_tokens``; items that lost something are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol
from harness.backbone import Backbone, BackboneFiles, load_model, load_tokenizer
from harness.decoding import Search, continuations
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Evaluation, Examples, Predictions
from harness.splits import Part

if TYPE_CHECKING:
    from harness.spec import Training

Batch = dict[str, Tensor]
LOSS_TOKENS = 2048
"""Tokens of a batch of which only the loss is wanted: each has the logits of a whole vocabulary."""
SEQUENCES = 64
"""Texts that are searched for at once, beams included."""


class GenerateOptions(protocol.Options):
    """How text is learnt and written; the defaults are PST's for GPT-2."""

    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="share of each target that all tokens get")
    num_beams: int = Field(default=10, ge=1, description="beams of the search; 1 is greedy")
    length_penalty: float = Field(default=0.8, description="exponent of the length that a text's score is divided by")
    no_repeat_ngram_size: int = Field(default=4, ge=0, description="length of n-grams that come once; 0 allows all")
    max_new_tokens: int = Field(default=64, ge=1, description="tokens that are written at most")
    max_references: int | None = Field(
        default=None, ge=1, description="texts an item is scored against, the first ones"
    )
    validation: Literal["metric", "loss"] = Field(
        default="metric", description="after an epoch, write and score texts, or only compute the loss"
    )


class _Pair(NamedTuple):
    """One input: the whole sequence, and where the target begins in it."""

    ids: tuple[int, ...]
    start: int


class _Item(NamedTuple):
    """One record: the name of its first row, what a text is written after, and the texts it is scored against."""

    name: str
    prompt: tuple[int, ...]
    references: list[str]


class Generate(protocol.Protocol):
    """Records to text with a causal language model."""

    KINDS = ("decoder",)
    Options = GenerateOptions
    options: GenerateOptions

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the language model; its output layer is backbone, so that nothing is head."""
        from transformers import AutoModelForCausalLM

        self.refuse_kind(files, "writes text")
        model, missing = load_model(files, AutoModelForCausalLM, meta=meta)
        if missing and files.folder is not None and not meta:
            raise NotApplicable(f"{files.reference} is no whole language model: it lacks {', '.join(sorted(missing))}")
        return model, frozenset()

    def load(self, files: BackboneFiles) -> Backbone:
        """Return the loaded language model and its tokenizer."""
        model, head = self.build(files)
        tokenizer = load_tokenizer(files)
        if tokenizer.eos_token_id is None:
            raise NotApplicable(f"{files.reference} has no end-of-text token, so it cannot learn where a text ends")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return Backbone(files, model, head, tokenizer)

    def head_key(self) -> str:
        """Return what tells heads apart: there is none."""
        return ""

    def check(self, training: Training) -> None:
        """Refuse a choice by a metric that is not computed, and lengths that leave no room for a source."""
        if self.options.validation == "loss" and training.select != "loss":
            raise MissingPrerequisite(
                f"validation: loss computes no metric after an epoch, but training.select is {training.select}; set "
                f"training.select to loss, or the option validation of generate to metric"
            )
        self._room(training.max_length)

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part: one input for each text, one item for each cluster that has any."""
        room = self._room(max_length)
        texts = self._texts(part)
        flat = [text.strip() for row in texts for text in row]
        if not flat:
            raise MissingPrerequisite(f"{part.title} has no row with a text; check the data or the card's columns")
        sources, targets = (
            tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"]
            for lines in (part.fields(source=str)["source"], flat)
        )
        separator = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        inputs, items, cut, following = list[_Pair](), dict[str, _Item](), set[str](), iter(targets)
        for name, cluster, row, source in zip(part.item_ids(), part.cluster_ids(), texts, sources, strict=True):
            prompt = (*source[-room:], separator)
            for text in row:
                items.setdefault(cluster, _Item(name, prompt, [])).references.append(text)
                whole = (*prompt, *next(following), tokenizer.eos_token_id)
                if len(source) > room or len(whole) > max_length:
                    cut.add(cluster)
                inputs.append(_Pair(whole[:max_length], len(prompt)))
        ids, blank = tuple(item.name for item in items.values()), sum(not row for row in texts)
        return Examples(
            inputs,
            np.array([len(pair.ids) for pair in inputs], dtype=np.int64),
            ids,
            ids,  # an item is a whole cluster, whose own name may be the data set's text, which no record holds
            [item.references[: self.options.max_references] for item in items.values()],
            len(cut),
            (f"{blank} of {len(texts)} rows of {part.title} have no text and were left out",) if blank else (),
            {"prompts": [item.prompt for item in items.values()]},
        )

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a batch, padded on the right.

        ``input_ids``, ``attention_mask`` (rows, longest); ``predicts`` (rows, longest) is true where the next token is
        one of a target, and ``labels`` holds those tokens, row by row.
        """
        pairs = [examples.inputs[row] for row in rows]
        longest = max(len(pair.ids) for pair in pairs)
        ids = torch.full((len(pairs), longest), tokenizer.pad_token_id)
        mask, predicts = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
            mask[row, : len(pair.ids)] = 1
            predicts[row, pair.start - 1 : len(pair.ids) - 1] = True
        labels = torch.tensor([token for pair in pairs for token in pair.ids[pair.start :]])
        batch = {"input_ids": ids, "attention_mask": mask, "predicts": predicts, "labels": labels}
        return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def weight(self, examples: Examples, rows: Sequence[int]) -> float:
        """Return the number of target tokens of some inputs."""
        return float(sum(len(examples.inputs[row].ids) - examples.inputs[row].start for row in rows))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean smoothed loss over the target tokens of a batch in fp32."""
        return functional.cross_entropy(
            _logits(model, batch), batch["labels"], label_smoothing=self.options.label_smoothing
        )

    def perfect(self, examples: Examples) -> Sequence[str]:
        """Return the first reference of every item."""
        return [texts[0] for texts in examples.references]

    def predict(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Return a text for every item; no loss, whose reading of all references would take longer than the texts."""
        prompts: Sequence[tuple[int, ...]] = examples.extra["prompts"]
        search, texts, unfinished = self._search(evaluation.tokenizer), [""] * len(prompts), 0
        order = sorted(range(len(prompts)), key=lambda item: -len(prompts[item]))
        size = max(1, SEQUENCES // search.num_beams)
        for items in (order[start : start + size] for start in range(0, len(order), size)):
            with evaluation.autocast():
                written = continuations(model, [prompts[item] for item in items], search, evaluation.device)
            for item, ids in zip(items, written, strict=True):
                unfinished += ids[-1] != search.end
                texts[item] = evaluation.tokenizer.decode(ids, skip_special_tokens=True).strip()
        cut = f"{unfinished} of {len(texts)} texts of {self.card.name} had no end at {search.max_new_tokens} tokens"
        return Predictions(texts, None, notes=(cut,) if unfinished else ())

    def validate(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Return the mean loss over all target tokens, in nats, and the texts where the option asks for them."""
        loss = self._mean_loss(model, examples, evaluation)
        if self.options.validation == "loss":
            return Predictions(None, loss)
        return replace(self.predict(model, examples, evaluation), loss=loss)

    def _search(self, tokenizer: Any) -> Search:  # Any: a transformers tokenizer
        values = self.options.model_dump(include={field.name for field in fields(Search)})
        return Search(**values, end=tokenizer.eos_token_id, pad=tokenizer.pad_token_id)

    def _room(self, max_length: int) -> int:
        """Return the tokens that a source may have."""
        room = max_length - self.options.max_new_tokens - 1
        if room < 1:
            raise MissingPrerequisite(
                f"{max_length} tokens (training.max_length, or all that the backbone has positions for) leave no room "
                f"for a source beside {self.options.max_new_tokens} written ones and a separator; raise "
                f"training.max_length, or lower the option max_new_tokens of generate"
            )
        return room

    def _texts(self, part: Part) -> list[list[str]]:
        """Return the texts of each row that are not blank."""
        rows = [[row] if isinstance(row, str) else row for row in part.fields(target=(str, list))["target"]]
        strange = [text for row in rows for text in row if not isinstance(text, str)]
        if strange:
            raise MissingPrerequisite(
                f"{part.title} has lists in column {self.card.columns['target']} that do not hold texts, but "
                f"{type(strange[0]).__name__}; name the column of the texts (a dot reaches into a struct)"
            )
        return [[text for text in row if text.strip()] for row in rows]

    def _mean_loss(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> float:
        total, order = 0.0, np.argsort(-examples.lengths, kind="stable").tolist()
        while order:
            size = max(1, LOSS_TOKENS // int(examples.lengths[order[0]]))
            rows, order = order[:size], order[size:]
            batch = self.collate(examples, rows, evaluation.tokenizer, evaluation.device)
            with evaluation.autocast():
                total += float(functional.cross_entropy(_logits(model, batch), batch["labels"], reduction="sum"))
        return total / self.weight(examples, range(len(examples)))


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    """Return the logits at the places that predict a target's token, (tokens, vocabulary) in fp32."""
    logits: Tensor = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        logits_to_keep=batch["predicts"],  # the output layer is a fifth of a small model's work
        use_cache=False,
    ).logits
    return logits.float()


PROTOCOL = Generate
