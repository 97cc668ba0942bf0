"""Candidates: the right one of several answers to a text, which may differ from row to row in number.

Fields: ``text``; ``text_pair`` (optional); ``candidates`` (a list), or ``candidate1``, ``candidate2``, ...; and
``label``, the place of the right one counted from 0, or ``answers``, a list of texts: a candidate that is one of them
is right. Each candidate is read together with the text, as the second text of a pair: after ``text_pair``, or in the
place of the option ``placeholder`` in it (ReCoRD). A head with one output scores each; the most probable one under a
softmax over the row's candidates is the prediction.

The loss is cross-entropy over a row's candidates. Where several are right it is minus the log of the sum of their
probabilities (their marginal likelihood): the model is free to prefer one, and wins nothing by spreading.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from harness.errors import MissingPrerequisite
from harness.protocol import Examples, Predictions
from harness.splits import Part
from harness.task import TaskCard
from tasks.inputs.texts import Batch, Options, Texts, checked_labels, encoded, logits, padded

PIECE = 64
"""Candidates that go through the model at once; of more, activations are not kept but computed again."""


class Candidates(Texts):
    """One task whose items are candidates."""

    def __init__(self, card: TaskCard, options: Options) -> None:
        super().__init__(card, options)
        self.numbered = [f"candidate{n}" for n in range(1, len(card.columns) + 1) if f"candidate{n}" in card.columns]
        if options.placeholder is not None and "text_pair" not in card.columns:
            raise MissingPrerequisite(f"{card.name} has a placeholder and no column text_pair that it could stand in")

    def key(self) -> str:
        """Return what tells heads apart."""
        return "candidates"

    def head_options(self) -> dict[str, Any]:
        """Return the configuration values that shape the head (Any: transformers' options)."""
        return {"num_labels": 1}

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part: an input holds the token ids of each candidate, and which of them are right.

        Raises:
            MissingPrerequisite: for a row without candidates, a label or an answer that is none of them, or a missing
                placeholder; by name.
        """
        offered, texts = self._offered(part), self.texts(part)
        right = None if part.split == "hidden" else self._right(part, offered)
        firsts = [text for text, row in zip(texts["text"], offered, strict=True) for _ in row]
        seconds = list(chain.from_iterable(self._seconds(part, texts.get("text_pair"), offered)))
        pairs, cut = encoded([firsts, seconds], tokenizer, max_length)
        inputs: list[dict[str, Any]] = []
        truncated, at = 0, 0
        for place, row in enumerate(offered):
            taken = range(at, at + len(row))
            inputs.append({"candidates": [pairs[one] for one in taken]})
            if right is not None:
                inputs[-1]["right"] = right[place]
            truncated += not cut.isdisjoint(taken)
            at += len(row)
        lengths = [sum(len(one["input_ids"]) for one in each["candidates"]) for each in inputs]
        return Examples(
            tuple(inputs),
            np.array(lengths, dtype=np.int64),
            part.item_ids(),
            part.cluster_ids(),
            [] if right is None else self._references(part),
            truncated,
            extra={"candidates": offered},
        )

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Batch:
        """Return a padded batch.

        Its token tensors are (candidates of all rows, longest); ``row`` and ``place`` (candidates of all rows,) say
        whose each is; ``labels`` (rows, most candidates) is true at the right ones.
        """
        inputs = [examples.inputs[row] for row in rows]
        counts = torch.tensor([len(one["candidates"]) for one in inputs])
        batch = padded([candidate for one in inputs for candidate in one["candidates"]], tokenizer)
        batch["row"] = torch.arange(len(inputs)).repeat_interleave(counts)
        batch["place"] = torch.cat([torch.arange(count) for count in counts.tolist()])
        if "right" in inputs[0]:
            batch["labels"] = torch.zeros(len(inputs), int(counts.max()), dtype=torch.bool)
            batch["labels"][batch["row"], batch["place"]] = torch.tensor([r for one in inputs for r in one["right"]])
        return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the score of every candidate, (rows, most candidates) in fp32; -inf where a row has fewer."""
        row, place = batch["row"], batch["place"]
        tokens = {key: tensor for key, tensor in batch.items() if key not in ("row", "place", "labels")}
        starts = range(0, len(row), PIECE)
        pieces = [_shortened({key: tensor[at : at + PIECE] for key, tensor in tokens.items()}) for at in starts]
        if torch.is_grad_enabled() and len(pieces) > 1:
            said = [checkpoint(logits, model, piece, use_reentrant=False) for piece in pieces]
        else:
            said = [logits(model, piece) for piece in pieces]
        flat = torch.cat(said)[:, 0]
        empty = flat.new_full((int(row[-1]) + 1, int(place.max()) + 1), -torch.inf)
        return empty.index_put((row, place), flat)

    def loss_of(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (rows, candidates) against ``labels`` (rows, candidates), true if right."""
        return (scores.logsumexp(dim=1) - scores.masked_fill(~labels, -torch.inf).logsumexp(dim=1)).mean()

    def chosen(self, scores: Tensor) -> Tensor:
        """Return the place of the likeliest candidate of each row."""
        return scores.argmax(dim=-1)

    def log_likelihoods(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every candidate."""
        return scores.log_softmax(dim=-1)

    def answers(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Return the places of the chosen candidates; their texts where the references are texts."""
        if "answers" not in self.card.columns:
            return Predictions(outputs, None)
        return Predictions(_texts(examples, outputs), None, shown=outputs)

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the predictions of a model that makes no mistake: the first right candidate of each row."""
        places = [one["right"].index(True) for one in examples.inputs]
        return _texts(examples, places) if "answers" in self.card.columns else places

    def _offered(self, part: Part) -> list[list[str]]:
        """Return the candidates of each row."""
        if self.numbered:
            columns = part.fields(**dict.fromkeys(self.numbered, str))
            return [list(row) for row in zip(*columns.values(), strict=True)]
        offered: list[list[str]] = part.fields(candidates=list)["candidates"]
        for row, candidates in enumerate(offered):
            if not candidates or not all(isinstance(one, str) for one in candidates):
                came = "no candidates" if not candidates else "candidates that are no texts"
                raise MissingPrerequisite(f"{_name(part, row)} has {came}; mend the data or leave it out")
        return offered

    def _seconds(self, part: Part, pairs: list[str] | None, offered: list[list[str]]) -> list[list[str]]:
        """Return what each candidate is read as, the second text of a pair."""
        if pairs is None:
            return offered
        gap = self.options.placeholder
        if gap is None:
            return [[f"{pair} {one}" for one in row] for pair, row in zip(pairs, offered, strict=True)]
        for row, pair in enumerate(pairs):
            if gap not in pair:
                raise MissingPrerequisite(f"{_name(part, row)} has no {gap!r} that a candidate could take the place of")
        return [[pair.replace(gap, one) for one in row] for pair, row in zip(pairs, offered, strict=True)]

    def _right(self, part: Part, offered: list[list[str]]) -> list[list[bool]]:
        """Return which candidates of each row are right."""
        if "answers" not in self.card.columns:
            labels = checked_labels(part, 0, max(map(len, offered)) - 1)
            right = [[place == label for place in range(len(row))] for label, row in zip(labels, offered, strict=True)]
        else:
            answers = part.fields(answers=list)["answers"]
            right = [[one in known for one in row] for known, row in zip(answers, offered, strict=True)]
        without = [row for row, flags in enumerate(right) if not any(flags)]
        if without:
            raise MissingPrerequisite(
                f"{part.title} has {len(without)} rows whose right answer is none of their candidates, such as row "
                f"{part.chosen()[without[0]]}; mend the data or leave them out"
            )
        return right

    def _references(self, part: Part) -> list[Any]:
        """Return what the metrics compare predictions with: a place, or the list of right texts."""
        if "answers" in self.card.columns:
            return part.values(self.card.columns["answers"])
        return part.values(self.card.columns["label"])


def _texts(examples: Examples, places: Sequence[float]) -> list[str]:
    """Return the candidates at some places."""
    return [row[int(place)] for row, place in zip(examples.extra["candidates"], places, strict=True)]


def _shortened(piece: Batch) -> Batch:
    """Return a batch without the columns that are padding in every row."""
    longest = int(piece["attention_mask"].sum(dim=1).max())
    return {key: tensor[:, :longest] for key, tensor in piece.items()}


def _name(part: Part, row: int) -> str:
    return f"row {part.chosen()[row]} of {part.title}"
