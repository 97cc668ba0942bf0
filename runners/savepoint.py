"""A savepoint: all that a training needs to go on after its worker died, to the same final bits on one CPU.

It lies in the folder of the attempt that wrote it, is replaced by each later one, and is removed when the run has a
record. The next attempt of the same run continues from the newest one that has its own provenance; see
``runners.execute``. One safetensors file holds the tensors, and their places in the rest as JSON; nothing is pickled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

SAVEPOINT_FILE = "savepoint.safetensors"
TENSOR, PAIRS = "tensor", "pairs"


@dataclass
class Savepoints:
    """Where one run writes its savepoints and how often, and the one that it continues from."""

    folder: Path
    """Of this attempt."""
    minutes: float | None
    """Between two of them; none writes none, but still continues from an earlier one."""
    earlier: tuple[Path, ...] = ()
    """Folders of the run's earlier attempts, newest last."""
    provenance: str | None = None
    """Digest of what makes the run's numbers; a savepoint of other code, data or weights is of no use."""
    clock: Callable[[], float] = time.monotonic
    continued_from: str | None = None
    """The attempt whose savepoint was taken up."""
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def due(self) -> bool:
        """Return whether the time between two savepoints has passed."""
        return self.minutes is not None and self.clock() - self._last >= self.minutes * 60

    def save(self, content: Any) -> None:  # Any: nested dicts, lists, numbers and tensors
        """Write the savepoint whole, in place of the one before."""
        write(self.folder / SAVEPOINT_FILE, {"provenance": self.provenance, "content": content})
        self._last = self.clock()

    def load(self) -> Any | None:  # Any: see save
        """Return the newest savepoint of the same provenance, or none."""
        for folder in reversed(self.earlier):
            found = read(folder / SAVEPOINT_FILE)
            if found is not None and found["provenance"] == self.provenance:
                self.continued_from = folder.name
                return found["content"]
        return None

    def remove(self) -> None:
        """Remove the run's savepoints, this attempt's and those of earlier ones."""
        for folder in (*self.earlier, self.folder):
            (folder / SAVEPOINT_FILE).unlink(missing_ok=True)


def write(path: Path, content: Any) -> None:  # Any: see Savepoints.save
    """Write nested content whole or not at all; a file before it is replaced."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_packed(content, tensors))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, {"content": text})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Any | None:  # Any: see Savepoints.save
    """Return what ``write`` wrote; none where there is no such file, or one that is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return _unpacked(json.loads(file.metadata()["content"]), file.get_tensor)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):  # a damaged one costs the time since, no more
        return None


def random_states() -> dict[str, Any]:  # Any: see Savepoints.save
    """Return the states of torch's generators, of the CPU and of every visible GPU."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "gpus": gpus}


def restore_random_states(states: dict[str, Any]) -> None:  # Any: as above
    """Put the generators' states back."""
    torch.set_rng_state(states["cpu"])
    if states["gpus"]:
        torch.cuda.set_rng_state_all(states["gpus"])


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return JSON in which each tensor is a number, and each dict a list of pairs, since keys may be numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {TENSOR: name}
    if isinstance(value, dict):
        return {PAIRS: [[key, _packed(one, tensors)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(one, tensors) for one in value]
    return value


def _unpacked(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(one, tensor) for one in value]
    if not isinstance(value, dict):
        return value
    return tensor(value[TENSOR]) if TENSOR in value else dict(_pairs(value[PAIRS], tensor))


def _pairs(pairs: list[list[Any]], tensor: Callable[[str], Tensor]) -> Iterator[tuple[Any, Any]]:
    for key, value in pairs:
        yield key, _unpacked(value, tensor)
