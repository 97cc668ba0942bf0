"""Warm: what a worker keeps between runs, so that the next one starts at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch

from harness.backbone import Backbone, BackboneFiles, locate
from harness.data import DataSource
from harness.protocol import Examples, Protocol
from harness.spec import Spec
from harness.splits import Part
from runners import encodings
from runners.prepare import frozen_dtype, max_length

KEPT_BACKBONES = 2
KEPT_BYTES = 4 << 30
"""Encoded rows that are kept between runs; VTAB-1K's test splits together are some 30 GB at 224 x 224 pixels."""
TOKEN_BYTES = 64
"""Of a token in an encoded text: a Python number and its place in a list, and the places of its mask and type."""
KEPT_RESULTS = 4 << 30
"""Bytes of what methods computed of the data, such as Fisher information: one fp32 number per targeted scalar."""
T = TypeVar("T")


class Kept(NamedTuple):
    """Something computed, and the seconds that it took."""

    value: Any  # Any: what a method computed, or an untrained backbone's scores
    seconds: float


@dataclass
class Memory:
    """What one run may have of earlier runs with the same backbone, head, targets and rows."""

    kept: dict[str, Kept]
    scope: str
    saved_seconds: float = 0.0
    """What computing it anew would have cost this run."""

    def __call__(self, name: str, compute: Callable[[], T]) -> T:
        """Return ``compute()``, or what it gave before."""
        key = f"{self.scope}/{name}"
        if key in self.kept:
            self.saved_seconds += self.kept[key].seconds
            return self.kept[key].value  # type: ignore[no-any-return]  # as it came
        began = time.perf_counter()
        value = compute()
        seconds, size = time.perf_counter() - began, num_bytes(value)
        while self.kept and size + sum(num_bytes(one.value) for one in self.kept.values()) > KEPT_RESULTS:
            del self.kept[next(iter(self.kept))]  # the oldest: runs of one task follow each other
        self.kept[key] = Kept(value, seconds)
        return value


def num_bytes(value: object) -> int:
    """Return the size of the tensors in a mapping."""
    tensors = value.values() if isinstance(value, dict) else [value]
    return sum(one.nbytes for one in tensors if isinstance(one, torch.Tensor))


@dataclass
class Warm:
    """What a worker keeps between runs: loaded backbones (the last few), encoded rows, and what follows from both."""

    source: DataSource
    device: str
    home: str | None = None
    """The device that backbones are loaded onto, where that is not the runs' own: sharding takes them from there."""
    backbones: dict[str, Backbone] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    files: dict[str, BackboneFiles] = field(default_factory=dict)
    results: dict[str, Kept] = field(default_factory=dict)
    encoders: WeakKeyDictionary[Backbone, str] = field(default_factory=WeakKeyDictionary)
    """Loaded backbone to the digest of its tokenizer."""

    def locate(self, reference: str) -> BackboneFiles:
        """Return the backbone's files; their digest is taken once per worker."""
        if reference not in self.files:
            self.files[reference] = locate(reference)
        return self.files[reference]

    def backbone(self, spec: Spec, protocol: Protocol) -> tuple[str, Backbone]:
        """Return a loaded backbone with a head for the spec's task, and its key."""
        files = self.locate(spec.backbone)
        key = f"{files.digest}/{spec.protocol}/{protocol.head_key()}/{frozen_dtype(spec, self.device)}"
        if key not in self.backbones:
            while len(self.backbones) >= KEPT_BACKBONES:
                del self.backbones[next(iter(self.backbones))]
            loaded = protocol.load(files)
            loaded.place(self.home or self.device, frozen_dtype(spec, self.device))
            self.backbones[key] = loaded
        return key, self.backbones[key]

    def encoded(self, part: Part, protocol: Protocol, backbone: Backbone, spec: Spec) -> Examples:
        """Return the encoded rows of a part."""
        if part.sealed:
            part.raw()  # raises: a cache must not unseal what a trial may not read
        length = max_length(spec, backbone)
        task = f"{part.task.card.name}@{part.task.card.version}"
        options = protocol.options.model_dump_json()
        encoder = self._encoder(backbone)
        key = f"{task}/{part.key()}/{encoder}/{spec.protocol}/{options}/{length}"
        if key not in self.examples:
            encoded = encodings.encode(protocol, part, backbone.tokenizer, length, encoder)
            while self.examples and held_bytes(encoded) + self._num_bytes() > KEPT_BYTES:
                del self.examples[next(iter(self.examples))]  # the oldest: runs of one task follow each other
            self.examples[key] = encoded
        return self.examples[key]

    def memory(self, spec: Spec) -> Memory:
        """Return what methods may keep of the data between runs that differ in budget and training values alone."""
        about = spec.model_dump(mode="json", exclude={"values", "budget", "score", "training"})
        about |= {"max_length": spec.training.max_length, "dtype": spec.training.dtype}
        return Memory(self.results, f"{self.locate(spec.backbone).digest}/{json.dumps(about, sort_keys=True)}")

    def _num_bytes(self) -> int:
        return sum(map(held_bytes, self.examples.values()))

    def _encoder(self, backbone: Backbone) -> str:
        """Return the digest of what encodes a backbone's inputs; backbones with one tokenizer share their rows."""
        digest = self.encoders.get(backbone)
        if digest is None:
            digest = self.encoders[backbone] = encodings.encoder_digest(backbone.tokenizer)
        return digest


def held_bytes(examples: Examples) -> int:
    """Return about how much memory encoded rows take; an input of unknown size is taken for its tokens."""
    return examples.num_bytes or TOKEN_BYTES * int(examples.lengths.sum())
