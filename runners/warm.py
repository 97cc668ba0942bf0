"""Warm: what a worker keeps between runs, so that the next one starts at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.backbone import Backbone, BackboneFiles, locate
from harness.data import DataSource
from harness.protocol import Examples, Protocol
from harness.spec import Spec
from harness.splits import Part
from runners.prepare import frozen_dtype, max_length

KEPT_BACKBONES = 2
KEPT_BYTES = 4 << 30
"""Decoded images that are kept between runs; VTAB-1K's test splits together are some 30 GB at 224 x 224 pixels."""


@dataclass
class Warm:
    """What a worker keeps between runs: loaded backbones (the last few) and encoded rows."""

    source: DataSource
    device: str
    backbones: dict[str, Backbone] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    files: dict[str, BackboneFiles] = field(default_factory=dict)

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
            loaded.place(self.device, frozen_dtype(spec, self.device))
            self.backbones[key] = loaded
        return key, self.backbones[key]

    def encoded(self, part: Part, protocol: Protocol, backbone: Backbone, spec: Spec) -> Examples:
        """Return the encoded rows of a part."""
        if part.sealed:
            part.raw()  # raises: a cache must not unseal what a trial may not read
        length = max_length(spec, backbone)
        task = f"{part.task.card.name}@{part.task.card.version}"
        options = protocol.options.model_dump_json()
        key = f"{task}/{part.key()}/{backbone.files.digest}/{spec.protocol}/{options}/{length}"
        if key not in self.examples:
            encoded = protocol.encode(part, backbone.tokenizer, length)
            while self.examples and encoded.num_bytes + self._num_bytes() > KEPT_BYTES:
                del self.examples[next(iter(self.examples))]  # the oldest: runs of one task follow each other
            self.examples[key] = encoded
        return self.examples[key]

    def _num_bytes(self) -> int:
        return sum(one.num_bytes for one in self.examples.values())
