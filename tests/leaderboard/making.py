"""Hand-made records for the board's tests, written through the same models as real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.metric import METRICS
from harness.record import (
    ITEMS_FILE,
    RECORD_FILE,
    Cost,
    Counts,
    Digests,
    EpochMetrics,
    Failure,
    Record,
    Status,
    TaskScore,
    write_once,
)
from harness.spec import Budget, Spec

TOTAL = 22_713_216


def card(task: str, metric: str = "accuracy", unit: str = "%", **facts: Any) -> dict[str, Any]:
    """Return a task card as records hold it."""
    measure = {"name": metric, "higher_is_better": True, "unit": unit, "chance": 0.5, "ceiling": 1.0}
    return {"name": task, "title": task.split("/")[-1].upper(), "version": 1, "metric": {**measure, **facts}}


@dataclass
class Made:
    """One attempt to be written; ``items`` is task to (predictions, references), lists of numbers."""

    method: str = "lora"
    values: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None
    targets: str = "linear"
    task: str = "glue/sst2"
    score: Sequence[str] = ()
    seed: int = 0
    attempt: int = 1
    suite: str | None = "small"
    status: Status = "ok"
    error: Failure | None = None
    trained: int = 22_000
    items: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    clusters: Sequence[str] | None = None
    cards: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    state: str = "complete"
    environment: dict[str, Any] = field(default_factory=lambda: {"torch": "2.13.0", "device": "cpu", "threads": 1})
    spec: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    validation: Sequence[EpochMetrics] = ()
    backbone: str = "package:tiny/model"
    method_card: Mapping[str, Any] = field(default_factory=dict)
    bill: dict[str, Any] | None = None
    costs: dict[str, float] = field(default_factory=dict)
    """Further fields of the record's cost."""

    def asked(self) -> Spec:
        """Return the spec."""
        return Spec(
            backbone=self.backbone,
            method=self.method,
            values=self.values,
            budget=self.budget,
            targets=self.targets,
            train=self.task,
            score=tuple(self.score) or (self.task,),
            protocol="classify",
            seed=self.seed,
            **self.spec,
        )

    @property
    def run_id(self) -> str:
        """Return the run id."""
        return self.asked().run_id

    def write(self, folder: Path) -> Path:
        """Write record and items under a folder; return the attempt's own folder."""
        spec = self.asked()
        place = folder / spec.run_id / f"{self.attempt:03d}"
        place.mkdir(parents=True)
        cards = {task: self.cards.get(task) or card(task) for task in (spec.train, *spec.score)}
        scored = [self._scored(task, cards[task]) for task in spec.score] if self.status == "ok" else []
        digest = None
        if scored:
            pq.write_table(
                pa.concat_tables([table for _, table in scored], promote_options="default"), place / ITEMS_FILE
            )
            digest = hashlib.sha256((place / ITEMS_FILE).read_bytes()).hexdigest()
        record = Record(
            run_id=spec.run_id,
            attempt=self.attempt,
            suite=self.suite,
            spec=spec,
            status=self.status,
            error=self.error,
            started=f"2025-01-0{self.attempt}T10:00:00Z",
            ended=f"2025-01-0{self.attempt}T10:01:00Z",
            task_cards=cards,
            method_card=dict(self.method_card),
            search=self.bill,
            scores=tuple(score for score, _ in scored),
            environment=self.environment,
            notes=tuple(self.notes),
            validation=tuple(self.validation),
            best_epoch=len(self.validation) or None,
            counts=self._counts() if self.status == "ok" else None,
            cost=Cost(
                seconds={"load": 0.4, "fit": 41.2, "score": 3.0}, train_items_per_second=72.5, steps=189, **self.costs
            ),
            digests=Digests(items=digest, data_state=dict.fromkeys(spec.score, self.state)),
        )
        write_once(place / RECORD_FILE, record.to_json())
        return place

    def _counts(self) -> Counts:
        bits = 32 * self.trained
        return Counts(
            trained=self.trained, head=770, head_trained=True, total=TOTAL, stored_bits=bits, extra_at_inference=0
        )

    def _scored(self, task: str, facts: dict[str, Any]) -> tuple[TaskScore, pa.Table]:
        predictions, references = self.items[task]
        metric = METRICS[facts["metric"]["name"]]
        rows = metric.rows(predictions, references)
        value = metric.score(rows)
        score = TaskScore(
            task=task,
            split="validation",
            num_items=len(predictions),
            headline=metric.name,
            metrics={metric.name: None if np.isnan(value) else value},
            items_digest="x",
        )
        ids = [f"{task}:{number}" for number in range(len(predictions))]
        texts = {"task": [task] * len(ids), "item_id": ids, "cluster_id": list(self.clusters or ids)}
        return score, pa.table({**texts, "prediction": [str(p) for p in predictions], **rows})


def answers(num_items: int, num_wrong: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Return predictions and references of a two-class task with exactly so many wrong answers, spread by seed."""
    references = [float(number % 2) for number in range(num_items)]
    wrong = set(np.random.default_rng(seed).permutation(num_items)[:num_wrong].tolist())
    return [1 - value if number in wrong else value for number, value in enumerate(references)], references


@dataclass
class Judged:
    """A judge of the board that finds some runs stale: run id to the reason."""

    reasons: Mapping[str, str]

    def stale(self, records: Iterable[Record]) -> Mapping[str, str]:
        """Return the reasons of the runs that are there."""
        return {record.run_id: self.reasons[record.run_id] for record in records if record.run_id in self.reasons}

    def key(self) -> str:
        """Return a text that tells one judge from another."""
        return repr(self.reasons)
