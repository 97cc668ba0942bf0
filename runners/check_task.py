"""Check: does a task keep its promises? For any registered task or card file, on a tiny backbone and its real rows.

Each promise gives one finding: kept, broken, or not applicable with the reason. Rows come from where runs take them (a
mirror, the hub, a file, a generator), at most ``ROWS`` of each split, so that a check takes seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from harness import metric, registry
from harness.backbone import Backbone, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable
from harness.method import Plan
from harness.protocol import Examples, Protocol, meet
from harness.random import Streams
from harness.spec import Training
from harness.splits import Part, num_shared
from harness.targets import resolve
from harness.task import Split, Task
from runners.check import Finding
from runners.fit import Trainer
from runners.promises import Broken, require
from runners.score import Evaluator, measure

ROWS, FITTED, EPOCHS, MAX_LENGTH = 32, 16, 25, 400
"""Rows of each split, how many of them are fitted and how often, and the tokens of a text."""
FITTED_TOKENS = 6000
"""Tokens of the fitted rows together, two rows at least."""
TINY = {"encoder": "tiny:bert@64x2", "decoder": "tiny:llama@64x2", "vision": "tiny:vit"}
"""Kind of backbone to the one a task is checked on."""
NEAR = 0.12
"""How far a constant answer may lie from the chance level of the card, on a few rows."""


@dataclass(frozen=True)
class Case:
    """One task, met through one protocol."""

    task: Task
    protocol: Protocol
    source: DataSource
    reference: str

    @cached_property
    def backbone(self) -> Backbone:
        """Return a tiny backbone with a head for the task."""
        loaded = self.protocol.load(locate(self.reference))
        loaded.initialise_head(0)
        return loaded

    @cached_property
    def evaluator(self) -> Evaluator:
        """Return what scores."""
        return Evaluator(self.backbone.tokenizer, torch.device("cpu"), torch.float32)

    def part(self, of: Split) -> Part:
        """Return the first rows of a split."""
        if of not in self.task.card.source.splits:
            raise NotApplicable(f"it has no {of} split")
        return first_rows(Part(self.task, of, self.source), ROWS)

    @cached_property
    def scored(self) -> Examples:
        """Return the encoded rows that are scored."""
        if self.task.card.hidden_labels:
            raise NotApplicable(f"its labels are not public: {self.task.card.hidden_labels}")
        return self.protocol.encode(self.part("evaluation"), self.backbone.tokenizer, MAX_LENGTH)

    @cached_property
    def trained(self) -> Examples:
        """Return the encoded rows that are trained on."""
        if self.task.card.score_only_with:
            raise NotApplicable("it is only scored")
        return self.protocol.encode(self.part("train"), self.backbone.tokenizer, MAX_LENGTH)


def first_rows(whole: Part, count: int) -> Part:
    """Return the first rows of a part."""
    return replace(whole, indices=np.arange(min(count, whole.raw().table.num_rows)))


def check_task(name: str, source: DataSource, protocol: str | None = None) -> tuple[Finding, ...]:
    """Check every promise of a task.

    Args:
        name: a registered task, or ``yaml:PATH``.
        source: where its rows come from.
        protocol: the one to check; the card's first by default.

    Raises:
        UnknownName, MissingPrerequisite: for a name that nothing has, a wrong card, or options that are refused.
    """
    chosen = protocol or registry.load_task(name).card.protocols[0]
    task = registry.load_task(name, chosen)
    met = meet(chosen, task.card)
    case = Case(task, met, source, TINY[met.KINDS[0]])
    return tuple(_finding(promise, check, case) for promise, check in PROMISES.items())


def _finding(promise: str, check: Callable[[Case], str], case: Case) -> Finding:
    try:
        return Finding(promise, "kept", check(case))
    except NotApplicable as error:
        return Finding(promise, "not_applicable", str(error))
    except Broken as error:
        return Finding(promise, "broken", str(error))
    except Exception as error:  # a plugin's task may raise anything, and the other promises still are worth a word
        return Finding(promise, "broken", f"{type(error).__name__}: {error}")


def _metrics_known(case: Case) -> str:
    card = case.task.card
    names = [metric.find(name).name for name in (card.metric.name, *card.also)]
    return ", ".join(names)


def _data_here(case: Case) -> str:
    found = []
    for of in case.task.card.source.splits:
        try:
            raw = case.source.read(case.task, of)
        except MissingPrerequisite:
            if of != "hidden":  # which only a submission reads
                raise
            found.append("hidden not here")
            continue
        official = case.task.card.sizes.get(of)
        require(raw.table.num_rows > 0, f"{of} has no rows")
        if official and raw.state in ("complete", "generated"):
            rows = raw.table.num_rows
            require(rows == official, f"{of} has {rows:,} rows and is {raw.state}, but the card says {official:,}")
        found.append(f"{of} {raw.table.num_rows:,} rows ({raw.state})")
    return "; ".join(found)


def _order_stable(case: Case) -> str:
    first, again = (case.source.read(case.task, "evaluation").table for _ in range(2))
    require(first.equals(again), "two reads of the evaluation rows differ")
    return f"{first.num_rows:,} rows, read twice"


def _encodes(case: Case) -> str:
    rows = case.scored if case.task.card.score_only_with else case.trained
    require(len(rows) > 0, "no row was encoded")
    require(len(rows.lengths) == len(rows), f"{len(rows)} inputs have {len(rows.lengths)} lengths")
    items = (len(rows.item_ids), len(rows.cluster_ids), len(rows.references))
    require(len(set(items)) == 1, f"item ids, cluster ids and references are not equally many: {items}")
    require(len(set(rows.item_ids)) == len(rows.item_ids), "an item id occurs twice")
    return f"{len(rows)} inputs, {items[0]} items, longest {rows.lengths.max()}, {rows.truncated} cut"


def _no_overlap(case: Case) -> str:
    if case.task.card.score_only_with:
        raise NotApplicable("it is only scored")
    shared = num_shared(Part(case.task, "train", case.source), Part(case.task, "evaluation", case.source))
    return f"{shared} evaluation rows stand in train too" if shared else "no evaluation row stands in train"


def _perfect(case: Case) -> str:
    numbers = measure(case.task.card, case.protocol.perfect(case.scored), case.scored.references).metrics
    headline, ceiling = numbers[case.task.card.metric.name], case.task.card.metric.ceiling
    require(headline is not None, f"perfect answers have no {case.task.card.metric.name}")
    assert headline is not None
    if ceiling is not None:
        require(math.isclose(headline, ceiling, abs_tol=1e-6), f"perfect answers give {headline}, not {ceiling}")
    return f"{headline:g}"


def _constant(case: Case) -> str:
    card, references = case.task.card, list(case.scored.references)
    if not card.labels or not all(isinstance(one, int | float) for one in references):
        raise NotApplicable("its answers are no classes")
    if card.metric.chance is None:
        raise NotApplicable("its card states no chance level")
    part = Part(case.task, "evaluation", case.source)
    labels = [float(one) for one in part.values(card.columns["label"])]
    most = Counter(labels).most_common(1)[0][0]
    best = max(measure(card, [answer] * len(labels), labels).metrics[card.metric.name] or 0.0 for answer in {most, 1.0})
    require(abs(best - card.metric.chance) <= NEAR, f"a constant gives {best:.4f}, the card says {card.metric.chance}")
    return f"{best:.4f} for {card.metric.chance}"


def _batch_free(case: Case) -> str:
    found = []
    for size in (3, 64):
        evaluator = replace(case.evaluator, batch_size=size)
        found.append(evaluator.predict(case.backbone.model, case.protocol, case.scored).values or ())
    require(_equal(found[0], found[1]), "predictions differ between batches of 3 and of 64")
    return f"{len(found[0])} predictions"


def _equal(first: Any, second: Any) -> bool:  # Any: predictions, or what they are made of
    """Return whether two things are the same but for the rounding of their real numbers."""
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-4, abs_tol=1e-5)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)


def _loss_falls(case: Case) -> str:
    rows = case.trained
    # Rows with many candidates are long; a few of them show as well that the loss falls.
    count = int(np.clip(np.searchsorted(np.cumsum(rows.lengths), FITTED_TOKENS), 2, FITTED))
    few = replace(rows, inputs=rows.inputs[:count], lengths=rows.lengths[:count])
    loaded = case.protocol.load(locate(case.reference))
    method = registry.load_method("full")()
    targets = resolve(loaded.model, "all", loaded.head)
    loaded.initialise_head(0)
    method.start(loaded.model, Plan(targets, loaded.head, loaded.num_parameters), Streams(0))
    training = Training(epochs=EPOCHS, batch_size=FITTED, lr=2e-3)
    trainer = Trainer(loaded.model, method, case.protocol, case.evaluator, training, Streams(0))
    batch = trainer.collate(few, np.arange(len(few)))
    before = _loss(trainer, batch)
    trainer.fit(few, None)
    after = _loss(trainer, batch)
    require(after < before, f"the loss of {len(few)} rows went from {before:.4f} to {after:.4f} in {EPOCHS} steps")
    return f"{before:.4f} to {after:.4f}"


@torch.no_grad()
def _loss(trainer: Trainer, batch: Any) -> float:  # Any: the protocol's own
    trainer.model.eval()
    return float(trainer.loss(batch))


PROMISES: dict[str, Callable[[Case], str]] = {
    "its metrics are known": _metrics_known,
    "its rows can be had and are as many as the card says": _data_here,
    "the rows are in a stable order": _order_stable,
    "every row is encoded, every item has a name": _encodes,
    "train and evaluation do not overlap": _no_overlap,
    "perfect answers reach the ceiling": _perfect,
    "a constant answer is at the chance level": _constant,
    "scores ignore the batch size": _batch_free,
    "the loss falls": _loss_falls,
}
