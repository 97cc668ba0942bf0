"""Training: short runs of every method on one generated task per protocol, from spec to record, and what they came to.

Runs go through ``runners.worker.run_one``, as every other run does, in this process or in a few of their own. What is
kept of a run is its record's losses, items and counts, and whether anything that the method trains moved.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from harness import registry
from harness.data import DataSource, Raw
from harness.method import BUFFER, MethodCard
from harness.record import TRAINED_FILE, Record
from harness.spec import TARGETS, Budget, Sizes, Spec, Training
from harness.task import Split, Task
from runners.prepare import attach, protocol_of
from runners.warm import Warm
from runners.worker import run_one


class Cell(NamedTuple):
    """How a protocol is trained for a moment: a generated task on a tiny backbone."""

    task: str
    backbone: str
    lr: float
    max_length: int = 128


CELLS = {
    "classify": Cell("embedded/agreement", "tiny:bert", 2e-2),
    "span": Cell("embedded/span", "tiny:bert", 1e-2),
    "prompt": Cell("embedded/choice", "tiny:llama", 1e-2),
    "generate": Cell("embedded/record", "tiny:llama", 1e-2),
    "image": Cell("embedded/shapes", "tiny:vit", 1e-2),
}
SIZES = Sizes(train=32, validation=8, test=8)
EPOCHS, BATCH = 2, 8
DIGITS = 8
"""Significant digits that are kept of a loss: those of fp32."""


class Ran(NamedTuple):
    """What a run came to."""

    method: str
    protocol: str
    status: str
    message: str
    losses: tuple[float, ...]
    """The loss of training and of validation, epoch after epoch; of validation alone where nothing is trained."""
    items: str
    """How many test items were scored, and the digest of their ids and references."""
    score: float | None
    """The headline of the test rows."""
    trained: int
    """Scalars outside the head, as the record counts them."""
    moved: bool
    """Whether any of them is not what it was at the start."""
    cpu_seconds: float


@dataclass(frozen=True)
class _Once(DataSource):
    """The generated rows, made once for all runs of a process."""

    _made: dict[tuple[str, Split], Raw] = field(default_factory=dict, compare=False)

    def fetch(self, task: Task, split: Split) -> Raw:
        key = (task.card.name, split)
        if key not in self._made:
            self._made[key] = super().fetch(task, split)
        return self._made[key]


def spec(method: str, protocol: str, **values: object) -> Spec:
    """Return the short run of a method through a protocol; ``values`` win over those of the cell."""
    cell, entry = CELLS[protocol], registry.find("method", method)
    card = MethodCard.model_validate(entry.card)
    training = Training(
        epochs=EPOCHS, batch_size=BATCH, max_length=cell.max_length, lr=cell.lr, schedule="linear", warmup=0.25
    )
    usual = {
        "backbone": cell.backbone,
        "method": method,
        # Members of families have a size; a tenth would be more soft prompts than a tiny backbone has places.
        "budget": Budget(fraction=0.1) if card.budget and not entry.family else None,
        "targets": card.targets or TARGETS[3],
        "train": cell.task,
        "score": (cell.task,),
        "protocol": protocol,
        "sizes": SIZES,
        "training": training,
    }
    return Spec.model_validate(usual | values)


def run(specs: Sequence[Spec], workers: int = 1) -> list[Ran]:
    """Run specs, in this process or in ``workers`` of their own; the order of what comes back is theirs."""
    if workers <= 1:
        return list(_run(specs))
    # Neighbours share a backbone and rows: each process gets whole stretches of them, a few to even out their lengths.
    size = max(1, -(-len(specs) // (4 * workers)))
    stretches = [specs[start : start + size] for start in range(0, len(specs), size)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [ran for stretch in pool.map(_run_all, stretches) for ran in stretch]


def _run_all(specs: Sequence[Spec]) -> list[Ran]:
    return list(_run(specs))


def _run(specs: Sequence[Spec]) -> Iterator[Ran]:
    torch.set_num_threads(1)
    warm = Warm(_Once(), "cpu")
    with tempfile.TemporaryDirectory(prefix="paretune-regression-") as folder:
        for asked in specs:
            began = process_time()
            record, attempt, healthy = run_one(asked, Path(folder), warm, None, "all", lambda event: None)
            if not healthy:
                warm = Warm(_Once(), "cpu")
            moved = record.status == "ok" and _moved(asked, warm, attempt)
            yield _ran(record, moved, process_time() - began)


def _ran(record: Record, moved: bool, cpu_seconds: float) -> Ran:
    losses = [loss for epoch in record.validation for loss in (epoch.train_loss, epoch.validation_loss)]
    score = record.scores[0] if record.scores else None
    return Ran(
        method=record.spec.method,
        protocol=record.spec.protocol,
        status=record.status,
        message=record.error.message if record.error else "",
        losses=tuple(float(f"{loss:.{DIGITS}g}") for loss in losses if loss is not None),
        items=f"{score.num_items} items, {score.items_digest[:16]}" if score else "",
        score=score.metrics[score.headline] if score else None,
        trained=record.counts.trained if record.counts else 0,
        moved=moved,
        cpu_seconds=cpu_seconds,
    )


def _moved(asked: Spec, warm: Warm, attempt: Path) -> bool:
    """Return whether anything outside the head is not what it was at the start.

    What was chosen after the start (a mask that data choose) is not there, or in another shape, and began at zero.
    """
    if not (attempt / TRAINED_FILE).is_file():
        return False
    before, head = _start(asked, warm)
    for name, now in load_file(attempt / TRAINED_FILE).items():
        if name in head or name.startswith(BUFFER):
            continue
        start = before.get(name, now.new_zeros(()))
        start = start.to(now.dtype) if start.shape == now.shape else torch.zeros_like(now)
        if not torch.equal(now, start):
            return True
    return False


def _start(asked: Spec, warm: Warm) -> tuple[Mapping[str, Tensor], frozenset[str]]:
    """Return what the run's method trained outside the head, as it was before its first step; and the head's names."""
    _, backbone = warm.backbone(asked, protocol_of(asked))
    method, plan = attach(asked, backbone, asked.sizes.train or 0)
    trained = {name: parameter.detach().clone() for name, parameter in method.trained().items()}
    method.detach(backbone.model, backbone.pristine)
    backbone.model.eval()
    return trained, plan.head
