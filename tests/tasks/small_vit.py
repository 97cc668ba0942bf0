"""A small ViT with weights of its own, trained on pictures that are made here, for machines without the hub's.

``python -m tests.tasks.small_vit FOLDER`` writes a folder that ``path:FOLDER`` names as a backbone: config.json,
model.safetensors (without the classifier that it was trained with) and preprocessor_config.json. It is
``tiny:vit@64x4`` with patches of 4 pixels, trained to tell 16 classes: four shapes in four fillings, whose place, size
and colours mean nothing. It shows that cells of pretrained vision backbones run, and no more: its features are poor
(30 % of held-out pictures right, chance 6, after two minutes of one core).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForImageClassification, get_linear_schedule_with_warmup

from harness.backbone import locate
from harness.images import ImageInput, load_input
from harness.tiny import parse

SHAPES, FILLINGS, SIDE = 4, 4, 32


def picture(draw: np.random.Generator, label: int) -> np.ndarray:
    """Return a picture (32, 32, 3) of the shape ``label // 4`` filled as ``label % 4`` says."""
    shape, filling = divmod(label, FILLINGS)
    size = draw.uniform(6, 11)
    middle = draw.uniform(size, SIDE - size, 2)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    down, right = rows - middle[0], columns - middle[1]
    far = np.hypot(down, right)
    inside = (
        far <= size,
        np.maximum(abs(down), abs(right)) <= 0.85 * size,
        (down <= 0.7 * size) & (abs(right) <= (down + size) * 0.6),
        (far <= size) & (far >= 0.5 * size),
    )[shape]
    phase, period = draw.integers(0, 6), draw.integers(3, 6)
    stripes = ((rows + phase) // period % 2, (columns + phase) // period % 2)
    second = (np.zeros_like(rows), stripes[0], stripes[1], (stripes[0] + stripes[1]) % 2)[filling] == 1
    back, first, other = draw.integers(0, 256, (3, 3))
    found = np.where(inside[..., None], np.where(second[..., None], other, first), back)
    return (found + draw.normal(0, 8, found.shape)).clip(0, 255).astype(np.uint8)


def rows(count: int, seed: int, wanted: ImageInput) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures (count, 3, 32, 32) as the model reads them, and their labels."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, SHAPES * FILLINGS, count)
    pixels = np.stack([picture(draw, int(label)) for label in labels])
    return torch.from_numpy(wanted.normalise(pixels)), torch.from_numpy(labels)


def train(folder: Path, count: int = 8000, epochs: int = 10, batch: int = 64, seed: int = 0) -> float:
    """Train the model, write it to ``folder``, and return its accuracy on 500 other pictures."""
    wanted = load_input(locate("tiny:vit"))
    torch.manual_seed(seed)
    config = parse("vit@64x4").config(patch_size=4, num_labels=SHAPES * FILLINGS)
    model = AutoModelForImageClassification.from_config(config)
    pixels, labels = rows(count, seed, wanted)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    steps = epochs * (count // batch)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    for _ in range(epochs):
        for chosen in torch.randperm(count)[: count // batch * batch].split(batch):
            loss = functional.cross_entropy(model(pixels[chosen]).logits, labels[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    held, answers = rows(500, seed + 1, wanted)
    with torch.no_grad():
        accuracy = (model(held).logits.argmax(dim=1) == answers).float().mean().item()
    model.base_model.save_pretrained(folder)
    wanted.save_pretrained(folder)
    return accuracy


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = train(Path(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]}: accuracy {found:.3f} on held-out pictures of 16 classes\n")
