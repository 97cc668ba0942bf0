"""Small picture tasks for the tests: pictures that are made here, rows in the form of the hub's Image feature."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from harness.data import DataSource
from harness.splits import Part
from harness.task import Split, Task, TaskCard

FACTS: dict[str, Any] = {
    "name": "toy/pictures",
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "source": {},
    "columns": {"image": "image", "label": "label"},
    "labels": ("a", "b", "c"),
    "sizes": {"train": 4, "evaluation": 4},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.34, "ceiling": 1.0},
    "protocols": ("image",),
}
CARD = TaskCard.model_validate(FACTS)


def noise(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Return random pixels, (height, width, channels)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    """Return pixels as the bytes of a file."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


def table(images: Sequence[Any], labels: Sequence[Any]) -> pa.Table:
    """Return rows of images (bytes, or structs) and labels."""
    return pa.table({"image": list(images), "label": list(labels)})


class Rows(Task):
    """A task with the rows it is given."""

    def __init__(self, rows: pa.Table, card: TaskCard = CARD) -> None:
        super().__init__(card)
        self.rows = rows

    def table(self, split: Split) -> pa.Table:
        return self.rows


def part(images: Sequence[Any], labels: Sequence[Any], indices: list[int] | None = None) -> Part:
    """Return rows as a run reads them."""
    chosen = None if indices is None else np.array(indices, dtype=np.int64)
    return Part(Rows(table(images, labels)), "train", DataSource(), chosen)
