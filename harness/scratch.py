"""Backbones for training from scratch: architectures made and not read, with initial weights from a fixed seed.

``scratch:resnet34-cifar`` is the ResNet-34 that papers train on CIFAR: 3 x 3 stem with stride 1 and no max-pool, so
that 32 x 32 pixels keep their resolution in the first stage. ``scratch:resnet10`` has one layer in each of four stages
and the usual stem (7 x 7 with stride 2, max-pool), for quick runs on generated pictures. ``scratch:resnet34-cifar@16``
has another width of the first stage. All else is transformers' ResNet of basic layers, initial values included (He et
al. 2015).

What makes such a backbone differ from a pretrained one is that its batch norms have no statistics to keep: they move
during training, and are stored with the trained part (``harness.batch_norm``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import MissingPrerequisite, UnknownName

VERSION = 1
SIDE = 32
"""Pixels of a side of the pictures that all of them are for."""


@dataclass(frozen=True)
class Scratch:
    """One architecture with its sizes, and how its pictures are normalised."""

    width: int
    """Channels of the stem and the first stage; each further stage has twice as many."""
    depths: tuple[int, ...]
    """Layers of two convolutions in each stage."""
    small_stem: bool
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @property
    def architecture(self) -> str:
        """The model type of transformers that it is built from."""
        return "resnet"

    def build(self, auto_class: Any, **options: Any) -> Any:  # Any: transformers' classes and options are untyped
        """Return the model with the random weights of torch's current seed; ``options`` such as ``num_labels``."""
        from torch import nn
        from transformers import ResNetConfig

        widths = [self.width * 2**stage for stage in range(len(self.depths))]
        config = ResNetConfig(
            embedding_size=self.width, hidden_sizes=widths, depths=list(self.depths), layer_type="basic", **options
        )
        model = auto_class.from_config(config)
        if self.small_stem:  # no option of the configuration says so
            stem = nn.Conv2d(3, self.width, kernel_size=3, stride=1, padding=1, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
            model.base_model.embedder.embedder.convolution = stem
            model.base_model.embedder.pooler = nn.Identity()
        return model


ARCHITECTURES = {
    # Mean and standard deviation of the training pixels of CIFAR-10 over 255.
    "resnet34-cifar": Scratch(64, (3, 4, 6, 3), True, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "resnet10": Scratch(16, (1, 1, 1, 1), False),
}


def parse(text: str) -> Scratch:
    """Return what ``NAME`` or ``NAME@WIDTH`` names.

    Raises:
        UnknownName, MissingPrerequisite: for an architecture that is not there, or a width that is none.
    """
    name, at, width = text.partition("@")
    if name not in ARCHITECTURES:
        raise UnknownName("backbone", f"scratch:{name}", [f"scratch:{known}" for known in ARCHITECTURES])
    if at and not re.fullmatch(r"[1-9]\d{0,3}", width):
        raise MissingPrerequisite(f"scratch:{text} has no such width; write scratch:{name}@WIDTH, such as @16")
    return replace(ARCHITECTURES[name], width=int(width)) if at else ARCHITECTURES[name]
