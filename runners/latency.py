"""Latency: how long one row takes through the trained model, and through the backbone alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from harness.protocol import Examples
    from runners.fit import Trainer

REPEATS = 3
"""Timed passes, after one that is not; the fastest counts, since whatever else the machine does only adds to it."""


@torch.no_grad()
def seconds_per_row(trainer: Trainer, rows: Examples) -> float:
    """Return the seconds of one forward pass, loss included, over the row of median length, alone in its batch.

    The model is taken as it stands: with a method's structure in place, or as a plain backbone after that was taken
    off, which is also what it costs once the method is merged. It is left in evaluation mode.
    """
    row = np.argsort(rows.lengths, kind="stable")[len(rows) // 2 : len(rows) // 2 + 1]
    batch = trainer.collate(rows, row)
    trainer.model.eval()
    passes = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        float(trainer.loss(batch))  # waits for the device
        passes.append(time.perf_counter() - started)
    return min(passes[1:])
