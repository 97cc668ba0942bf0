"""Backbones for training from scratch: architectures made and not read, with initial weights from a fixed seed.

``scratch:resnet34-cifar`` is the ResNet-34 that papers train on CIFAR: 3 x 3 stem with stride 1 and no max-pool, so
that 32 x 32 pixels keep their resolution in the first stage. ``scratch:resnet34-cifar@16`` has another width of the
first stage (64 by default). All else is transformers' ResNet of basic layers, initial values included (He et al. 2015).

What makes such a backbone differ from a pretrained one is that its batch norms have no statistics to keep: they move
during training, and are stored with the trained part (``harness.batch_norm``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import MissingPrerequisite, UnknownName

VERSION = 1
NAME, WIDTH, DEPTHS = "resnet34-cifar", 64, (3, 4, 6, 3)
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of the training pixels of CIFAR-10 over 255."""


class Pictures(NamedTuple):
    """The pictures that an architecture is for."""

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Scratch:
    """One architecture with its width."""

    width: int

    @property
    def architecture(self) -> str:
        """The model type of transformers that it is built from."""
        return "resnet"

    @property
    def pictures(self) -> Pictures:
        """The size of its pictures in pixels, and how they are normalised."""
        return Pictures(32, CIFAR_MEAN, CIFAR_STD)

    def build(self, auto_class: Any, **options: Any) -> Any:  # Any: transformers' classes and options are untyped
        """Return the model with the random weights of torch's current seed; ``options`` such as ``num_labels``."""
        from torch import nn
        from transformers import ResNetConfig

        widths = [self.width * 2**stage for stage in range(len(DEPTHS))]
        config = ResNetConfig(
            embedding_size=self.width, hidden_sizes=widths, depths=list(DEPTHS), layer_type="basic", **options
        )
        model = auto_class.from_config(config)
        # No option of the configuration says so: the stem of the architecture is made for 224 x 224 pixels.
        stem = nn.Conv2d(3, self.width, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        model.base_model.embedder.embedder.convolution = stem
        model.base_model.embedder.pooler = nn.Identity()
        return model


def parse(text: str) -> Scratch:
    """Return what ``resnet34-cifar`` or ``resnet34-cifar@WIDTH`` names.

    Raises:
        UnknownName, MissingPrerequisite: for an architecture that is not there, or a width that is none.
    """
    name, at, width = text.partition("@")
    if name != NAME:
        raise UnknownName("backbone", f"scratch:{name}", [f"scratch:{NAME}"])
    if at and not re.fullmatch(r"[1-9]\d{0,3}", width):
        raise MissingPrerequisite(f"scratch:{text} has no such width; write scratch:{NAME}@WIDTH, such as @16")
    return Scratch(int(width) if at else WIDTH)
