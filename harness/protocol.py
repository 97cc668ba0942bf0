"""The protocol contract: how a kind of backbone meets a task; the loop and the scorer know nothing else of either."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Structural

from harness.errors import UnknownName

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from harness.backbone import Backbone, BackboneFiles
    from harness.data import Part
    from harness.task import TaskCard

FOLDER = Path(__file__).resolve().parent.parent / "tasks" / "protocols"


class Examples(Structural):
    """Encoded rows of one part."""

    labels: NDArray[np.float64]
    item_ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    truncated: int

    def __len__(self) -> int: ...


class Protocol(Structural):
    """What each module of ``tasks/protocols`` offers, as functions."""

    KINDS: tuple[str, ...]

    def build(self, files: BackboneFiles, card: TaskCard, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return a model with a head for ``card`` and the head's parameter names; shapes only on request."""
        ...

    def load(self, files: BackboneFiles, card: TaskCard) -> Backbone:
        """Return a loaded backbone with a head for ``card`` and what encodes its inputs."""
        ...

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part."""
        ...

    def collate(self, examples: Any, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Any:
        """Return the padded batch of some rows."""
        ...

    def loss(self, model: nn.Module, batch: Any, card: TaskCard) -> Tensor:
        """Return the mean training loss of a batch in fp32."""
        ...

    def log_likelihoods(self, model: nn.Module, batch: Any, card: TaskCard) -> Tensor:
        """Return the log-probability of every outcome, (rows, outcomes); ``NotApplicable`` where none can be listed."""
        ...

    def predict(self, model: nn.Module, batch: Any, card: TaskCard) -> tuple[Tensor, Tensor]:
        """Return predictions (rows,) and the mean loss of a batch."""
        ...


def load_protocol(name: str) -> Protocol:
    """Return a protocol's module.

    Raises:
        UnknownName: offering those that exist.
    """
    known = [path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_")]
    if name not in known:
        raise UnknownName("protocol", name, known)
    return importlib.import_module(f"tasks.protocols.{name}")
