"""The drawn pictures say what their labels claim, stay the same, and hide the label from colours and from places."""

from __future__ import annotations

import hashlib
import io
from functools import cache

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from harness.spec import Spec
from harness.task import Split, TaskCard
from runners.execute import Outcome
from tasks.embedded_shapes import CARDS, DRAWS, TASK, draw
from tests.runners.specs import run

CARD = TaskCard.model_validate(CARDS[0])
FIRST_ROWS = "507c9205c10edee0"


@cache
def rows(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures (rows, 32, 32, 3) and labels of a split."""
    table = TASK(CARD).table(split)
    pixels = [np.asarray(Image.open(io.BytesIO(one["bytes"]))) for one in table["image"].to_pylist()]
    return np.stack(pixels), table["label"].to_numpy()


def quarter_and_direction(picture: np.ndarray) -> tuple[int, int]:
    """Read a picture: an arrow reaches farther from its own middle ahead than behind, a disc equally far."""
    shape = (picture != picture[0, 0]).any(axis=2)
    reach = {}
    for quarter, (row, column) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0))):
        places = np.argwhere(shape[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]).astype(float)
        if len(places):
            away = places - places.mean(axis=0)
            ahead = [(away @ np.array(way)).max() for way in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
            reach |= {(quarter, way): ahead[way] - ahead[(way + 2) % 4] for way in range(4)}
    return max(reach, key=lambda read: float(reach[read]))


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_splits_are_balanced_and_no_picture_occurs_twice(split: Split) -> None:
    pixels, labels = rows(split)
    assert pixels.shape == (CARD.sizes[split], 32, 32, 3)
    assert np.bincount(labels).tolist() == [CARD.sizes[split] // 4] * 4
    every = [one.tobytes() for part in ("train", "evaluation") for one in rows(part)[0]]  # type: ignore[arg-type]
    assert len(set(every)) == len(every)


def test_labels_can_be_read_back_from_the_pixels() -> None:
    pixels, labels = rows("evaluation")
    read = np.array([quarter_and_direction(picture) for picture in pixels])
    assert ((read[:, 1] - read[:, 0]) % 4 == labels).all()
    for column in (0, 1):  # neither the quarter nor the direction alone says anything
        counts = np.histogram2d(read[:, column], labels, bins=4)[0]
        assert np.abs(counts / len(labels) - 1 / 16).max() < 0.025


def test_colours_do_not_give_the_label_away() -> None:
    def histogram(pixels: np.ndarray) -> np.ndarray:
        flat = pixels.reshape(len(pixels), -1, 3)
        counts = [(flat // 32 == level).sum(axis=1) for level in range(8)]
        return np.concatenate([flat.mean(axis=1), flat.std(axis=1), *counts], axis=1)

    (seen, labels), (held, answers) = rows("train"), rows("evaluation")
    scaler = StandardScaler().fit(histogram(seen))
    model = LogisticRegression(max_iter=500).fit(scaler.transform(histogram(seen)), labels)
    assert model.score(scaler.transform(histogram(held)), answers) < 0.32


def test_the_pixels_themselves_do_not_give_it_away_to_a_linear_model() -> None:
    (seen, labels), (held, answers) = rows("train"), rows("evaluation")
    grey = [pixels.mean(axis=3).reshape(len(pixels), -1) / 255 for pixels in (seen, held)]
    model = LogisticRegression(max_iter=2000, C=0.01).fit(grey[0], labels)
    assert model.score(grey[1], answers) < 0.32


def test_rows_stay_the_same_for_ever() -> None:
    digest = hashlib.sha256()
    for split in ("train", "evaluation"):
        pixels, labels = rows(split)  # type: ignore[arg-type]
        digest.update(pixels[:100].tobytes())
        digest.update(labels[:100].astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == FIRST_ROWS, "rows changed: raise the card's version, then pin the new digest"


def test_another_version_draws_other_rows() -> None:
    newer = TASK(CARD.model_copy(update={"version": CARD.version + 1})).table("evaluation")
    assert newer["image"].to_pylist()[0]["bytes"] != TASK(CARD).table("evaluation")["image"].to_pylist()[0]["bytes"]


def test_no_stream_runs_out_of_draws() -> None:
    for label in range(4):
        assert draw(f"any/{label}", label).shape == (32, 32, 3)
    assert DRAWS >= 15


def test_full_fine_tuning_from_scratch_learns_it_and_the_head_alone_does_not() -> None:
    def asked(method: str) -> Spec:
        values = {"epochs": 3, "batch_size": 32, "lr": 3e-3 if method == "full" else 1e-2}
        facts = {
            "backbone": "scratch:resnet10",
            "method": method,
            "targets": "all" if method == "full" else "linear",
            "train": "embedded/shapes",
            "score": ("embedded/shapes",),
            "protocol": "image",
            "sizes": {"train": 3000, "validation": 100, "test": 500},
            "training": values,
        }
        return Spec.model_validate(facts)

    def accuracy(outcome: Outcome) -> float:
        return float(outcome.scores[0].metrics["accuracy"] or 0)

    full, head = (run(asked(method)) for method in ("full", "head_only"))
    assert accuracy(full) > 0.9
    assert accuracy(head) < 0.4
    assert full.reusable
    assert head.reusable
