"""Image: a picture to one of the task's classes; a head on the pooled output of a vision backbone.

Fields: ``image`` (a struct of ``bytes`` and ``path``, as the hub's Image feature, or the bytes themselves), ``label``.

Pooled output: what transformers' image classifier of the architecture pools. For ViT that is the class token after the
last layer norm, ``last_hidden_state[:, 0]``, with no dense pooler between it and the head (the pooler of a checkpoint
is left out, and is not in N); for ResNet the mean over places of the last feature map.
Head: one linear layer. A classifier that the weights bring is of another task: it is the head, and is made anew.
Pixels: the backbone's own input size and normalisation, resized bilinearly without a crop (``harness.images``). A
picture is decoded once per worker and held as bytes (8 bits a value), at the input size or its own, what is less.
Augmentation (options; off by default): a crop of the input size from the picture with ``crop`` reflected pixels around
it, a horizontal ``flip`` of every other one, a square of ``cutout`` pixels set to the mean; drawn anew for each row and
epoch from the run's own stream, and used for training steps only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness import protocol
from harness.backbone import Backbone, BackboneFiles, load_model
from harness.errors import MissingPrerequisite
from harness.images import ImageInput, Pixels, load_input
from harness.protocol import Examples
from harness.random import Streams
from harness.splits import Part

Batch = dict[str, Tensor]
DRAWS = ("crop top", "crop left", "flip", "cutout top", "cutout left")
"""What augmentation draws for each row, each from a stream of its own."""


class ImageOptions(protocol.Options):
    """How training pictures are augmented."""

    crop: int = Field(default=0, ge=0, description="reflected pixels around a picture that a random crop moves over")
    flip: bool = Field(default=False, description="whether half of the pictures are mirrored, left to right")
    cutout: int = Field(default=0, ge=0, description="side in pixels of a square that is set to the mean")


class Image(protocol.Protocol):
    """A picture, met by a vision backbone with a classification head."""

    KINDS = ("vision",)
    Options = ImageOptions
    options: ImageOptions

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return the backbone with a head for the task, and the head's parameter names."""
        from transformers import AutoModelForImageClassification

        self.refuse_kind(files, "sees")
        model, _ = load_model(files, AutoModelForImageClassification, meta=meta, num_labels=len(self.card.labels))
        prefix = f"{model.base_model_prefix}."
        return model, frozenset(name for name, _ in model.named_parameters() if not name.startswith(prefix))

    def load(self, files: BackboneFiles) -> Backbone:
        """Return a loaded backbone with a head for the task, and how it wants its pictures."""
        wanted = load_input(files)
        model, head = self.build(files)
        side = getattr(model.config, "image_size", None)
        if side is not None and side not in (wanted.height, [wanted.height, wanted.width]):
            raise MissingPrerequisite(
                f"{files.reference}: config.json is of pictures of {side} pixels, preprocessor_config.json of "
                f"{wanted.height} x {wanted.width}; fetch both from one place"
            )
        return Backbone(files, model, head, wanted)

    def encode(self, part: Part, tokenizer: ImageInput, max_length: int) -> Examples:
        """Decode the pictures of a part, and take the labels as references."""
        labels = self.labels(part)
        pictures = decoded(part, part.values(self.card.columns["image"]), tokenizer)
        one_each = np.ones(len(labels), dtype=np.int64)
        held = sum(picture.nbytes for picture in pictures)
        return Examples(pictures, one_each, part.item_ids(), part.cluster_ids(), labels, num_bytes=held)

    def labels(self, part: Part) -> list[int]:
        """Return the labels of a part.

        Raises:
            MissingPrerequisite: for labels that are no whole numbers, or outside the card's classes; by name.
        """
        labels: list[int] = part.fields(label=int)["label"]
        wrong = [label for label in labels if not 0 <= label < len(self.card.labels)]
        if wrong:
            raise MissingPrerequisite(
                f"{part.title} has {len(wrong)} labels outside 0 to {len(self.card.labels) - 1}, such as {wrong[0]}; "
                f"mend the data or the card"
            )
        return labels

    def for_epoch(self, examples: Examples, streams: Streams, epoch: int) -> Examples:
        """Return the rows with this epoch's draws, (rows, 5) between 0 and 1; without augmentation as they are."""
        if self.options == ImageOptions():
            return examples
        drawn = [streams.uniforms(len(examples), "augment", f"{epoch}/{name}") for name in DRAWS]
        return replace(examples, extra={"draws": np.stack(drawn, axis=1)})

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: ImageInput, device: torch.device) -> Batch:
        """Return a batch: ``pixel_values`` (rows, 3, height, width) in fp32, ``labels`` (rows,)."""
        pictures = [tokenizer.fit(examples.inputs[row]) for row in rows]
        draws = examples.extra.get("draws")
        if draws is not None:
            pictures = [self.moved(picture, draws[row]) for picture, row in zip(pictures, rows, strict=True)]
        pixels = tokenizer.normalise(np.stack(pictures))
        if draws is not None and self.options.cutout:
            for one, row in zip(pixels, rows, strict=True):
                self.cut(one, draws[row])
        labels = torch.tensor([examples.references[row] for row in rows])
        batch = {"pixel_values": torch.from_numpy(pixels), "labels": labels}
        return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}

    def moved(self, picture: Pixels, draws: NDArray[np.float64]) -> Pixels:
        """Return a picture cropped and mirrored as its draws say; same size."""
        pad, (height, width) = self.options.crop, picture.shape[:2]
        if pad:
            top, left = (int(draw * (2 * pad + 1)) for draw in draws[:2])
            padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
            picture = padded[top : top + height, left : left + width]
        return picture[:, ::-1] if self.options.flip and draws[2] < 0.5 else picture

    def cut(self, pixels: NDArray[np.float32], draws: NDArray[np.float64]) -> None:
        """Set a square of normalised pixels (3, height, width) to 0, the mean; it lies inside the picture."""
        side, (_, height, width) = self.options.cutout, pixels.shape
        top, left = (int(d * (max(0, size - side) + 1)) for d, size in zip(draws[3:], (height, width), strict=True))
        pixels[:, top : top + side, left : left + side] = 0.0

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of a batch in fp32."""
        return functional.cross_entropy(_logits(model, batch), batch["labels"])

    def log_likelihoods(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the log-probability of every class, (rows, classes) in fp32."""
        return functional.log_softmax(_logits(model, batch), dim=-1)

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Sequence[int], Tensor]:
        """Return the most probable class of each picture (rows,), and the mean loss of a batch."""
        logits = _logits(model, batch)
        found: list[int] = logits.argmax(dim=-1).tolist()
        return found, functional.cross_entropy(logits, batch["labels"])


def decoded(part: Part, values: Sequence[Any], wanted: ImageInput) -> list[Pixels]:
    """Return the pixels of every picture of a part.

    Args:
        part: what the values are of.
        values: of its image column (Any: as the source has them).
        wanted: how the backbone wants its pictures.

    Raises:
        MissingPrerequisite: naming the rows of another type, or whose picture does not open.
    """
    pictures: list[Pixels] = []
    broken: list[str] = []
    for name, value in zip(part.item_ids(), values, strict=True):
        content, place = _content(part, name, value)
        try:
            pictures.append(wanted.decode(content))
        except Exception as error:  # Pillow's decoders raise many kinds for what they cannot read
            broken.append(f"{name}{place} ({type(error).__name__}: {error})")
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise MissingPrerequisite(
            f"{part.title} has {len(broken)} images that do not open: {'; '.join(broken[:3])}{more}; "
            f"mend them, or take their rows out of the data"
        )
    return pictures


def _content(part: Part, name: str, value: Any) -> tuple[bytes | Path, str]:  # Any: as the source has it
    """Return what is to be decoded, and what it is called beside its row."""
    if isinstance(value, bytes):
        return value, ""
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return value["bytes"], f" {value['path']}" if value.get("path") else ""
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        return Path(value["path"]), f" {value['path']}"
    raise MissingPrerequisite(
        f"{part.title} has no image in column {part.task.card.columns['image']} of row {name} "
        f"({type(value).__name__} came); it holds bytes, or a struct of bytes and path"
    )


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(pixel_values=batch["pixel_values"]).logits
    return logits.float()


PROTOCOL = Image
