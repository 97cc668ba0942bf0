"""Raw rows: a local mirror in hub layout, the hub, or a generator in the task's own file; then the split policies.

A mirror wins over the hub. Nothing falls back silently: a mirror without the dataset is an error, not a download.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from harness import random
from harness.digest import file_digest
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.spec import Sizes
    from harness.task import Split, Task

STATES = ("complete", "generated", "subset", "carved", "unknown")
"""How much of the official split is here, best first."""
VALIDATION_SHARE, VALIDATION_LIMIT = 0.1, 1000
Role = Literal["train", "validation", "test"]


class SealedSplit(RuntimeError):
    """A trial tried to read the test split."""


@dataclass(frozen=True)
class Raw:
    """One raw split as it came, with what is known about it."""

    table: pa.Table
    digest: str
    state: str


@dataclass(frozen=True)
class DataSource:
    """Where raw rows come from: a mirror's folder, or the hub where there is none."""

    mirror: Path | None = None

    @staticmethod
    def of(mirror: str | Path | None = None) -> DataSource:
        """Return the source that an option or ``PARETUNE_MIRROR`` names.

        Raises:
            MissingPrerequisite: if that folder is not there.
        """
        place = mirror or os.environ.get("PARETUNE_MIRROR")
        if not place:
            return DataSource()
        folder = Path(place).expanduser().resolve()
        if not folder.is_dir():
            raise MissingPrerequisite(
                f"the mirror {str(place)!r} is not a folder; give --mirror (or PARETUNE_MIRROR) the folder that holds "
                f"<hub id>/<config>/<split>.parquet"
            )
        return DataSource(folder)

    def check(self, task: Task, split: Split) -> None:
        """Find out, without reading rows, that a split can be had.

        Raises:
            MissingPrerequisite: naming the dataset, what was tried, and the fix.
        """
        if task.card.source.hub and self.mirror:
            self._file(task, split)
        elif task.card.source.hub and os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
            raise MissingPrerequisite(
                f"{task.card.name} needs the dataset {task.card.source.hub} ({task.card.source.config}): there is no "
                f"mirror, and the hub is switched off by HF_HUB_OFFLINE; give --mirror DIR or PARETUNE_MIRROR=DIR, or "
                f"allow the hub"
            )

    def digest(self, task: Task, split: Split) -> str:
        """Return what identifies a split's rows, cheaply: the manifest's checksum, verified when the rows are read."""
        source = task.card.source
        if not source.hub:
            return f"generated:{task.card.name}@{task.card.version}"
        if not self.mirror:
            return f"hub:{source.hub}/{source.config}/{source.splits[split]}@{source.revision or 'main'}"
        return str(self._manifest_row(task, split).get("sha256") or file_digest(self._file(task, split)))

    def state(self, task: Task, split: Split) -> str:
        """Return how much of the official split is here: one of ``STATES``."""
        if not task.card.source.hub:
            return "generated"
        if not self.mirror:
            return "complete"
        return str(self._manifest_row(task, split).get("state", "unknown"))

    def read(self, task: Task, split: Split) -> Raw:
        """Return the raw rows of one split.

        Raises:
            MissingPrerequisite: if they cannot be had, or are not those that the manifest names.
        """
        self.check(task, split)
        digest, state = self.digest(task, split), self.state(task, split)
        if not task.card.source.hub:
            return Raw(task.table(split), digest, state)
        if not self.mirror:
            return Raw(_from_hub(task, split), digest, state)
        import pyarrow.parquet as pq

        path = self._file(task, split)
        found = file_digest(path)
        if found != digest:
            raise MissingPrerequisite(
                f"{path} is not the file that the mirror's MANIFEST.json names: sha256 {digest} expected, "
                f"{found} found; fetch it again or mend the manifest"
            )
        return Raw(pq.read_table(path), digest, state)

    def _file(self, task: Task, split: Split) -> Path:
        assert self.mirror is not None
        source = task.card.source
        path = self.mirror / str(source.hub) / str(source.config) / f"{source.splits[split]}.parquet"
        if not path.is_file():
            raise MissingPrerequisite(
                f"the mirror {self.mirror} has no {path.relative_to(self.mirror)}, which {task.card.name} needs; "
                f"add the file, leave this task out (--only task=...), or run without a mirror where there is a network"
            )
        return path

    def _manifest_row(self, task: Task, split: Split) -> dict[str, object]:
        assert self.mirror is not None
        manifest = self.mirror / "MANIFEST.json"
        if not manifest.is_file():
            return {}
        try:
            files = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise MissingPrerequisite(f"{manifest} is not a manifest ({error!r}); fetch the mirror again") from error
        row: dict[str, object] = files.get(self._file(task, split).relative_to(self.mirror).as_posix(), {})
        return row


@dataclass(frozen=True)
class Part:
    """The rows of one role in a run: a raw split and the chosen indices, read when first asked for."""

    task: Task
    split: Split
    source: DataSource
    indices: NDArray[np.int64] | None = None
    """Rows of the raw split, ascending; null takes all."""
    sealed: bool = False
    _cache: list[Raw] = field(default_factory=list, repr=False, compare=False)

    def raw(self) -> Raw:
        """Return the whole raw split.

        Raises:
            SealedSplit: if this is the test split of a trial.
        """
        if self.sealed:
            raise SealedSplit(
                f"a trial may not read the test split of {self.task.card.name}; only a final run does, once"
            )
        if not self._cache:
            self._cache.append(self.source.read(self.task, self.split))
        return self._cache[0]

    def chosen(self) -> NDArray[np.int64]:
        """Return the chosen row numbers of the raw split, ascending."""
        return np.arange(self.raw().table.num_rows) if self.indices is None else self.indices

    def key(self) -> str:
        """Return what names these rows in a cache."""
        chosen = "all" if self.indices is None else hashlib.sha256(self.indices.tobytes()).hexdigest()[:16]
        return f"{self.source.digest(self.task, self.split)}/{self.split}/{chosen}"


@dataclass(frozen=True)
class Splits:
    """What one run reads."""

    train: Part
    validation: Part
    tests: dict[str, Part]
    """Scored task to its test rows; sealed for a trial."""


def split(
    trained: Task, scored: list[Task], source: DataSource, *, policy: str, sizes: Sizes, data_seed: int, sealed: bool
) -> Splits:
    """Divide the raw splits as a policy says.

    ``held_out``: validation is a seeded 10 % of train (at most 1,000 rows), test the labelled evaluation split.
    ``as_published``: all of train is trained on, and the evaluation split both selects and is reported.
    Every subsample is a seeded draw, and a smaller size takes a subset of a larger one.
    """
    whole = Part(trained, "train", source)
    count = whole.raw().table.num_rows
    order = random.permutation(count, seed=data_seed, purpose="held_out", name=trained.card.name)
    tests = {task.card.name: _test(task, source, sizes.test, data_seed, sealed) for task in scored}
    if policy == "as_published":
        validation = _test(trained, source, sizes.validation, data_seed, sealed=False)
        return Splits(_part(whole, order[: sizes.train]), validation, tests)
    held = min(int(count * VALIDATION_SHARE), VALIDATION_LIMIT)
    if not held or held == count:
        raise MissingPrerequisite(
            f"{trained.card.name} has {count} training rows, too few to hold out {VALIDATION_SHARE:.0%} for validation"
        )
    return Splits(_part(whole, order[held:][: sizes.train]), _part(whole, order[:held][: sizes.validation]), tests)


def worst_state(states: list[str]) -> str:
    """Return the state of data that is put together from several splits."""
    return max(states, key=lambda state: STATES.index(state) if state in STATES else len(STATES))


def _part(whole: Part, indices: NDArray[np.int64]) -> Part:
    return Part(whole.task, whole.split, whole.source, np.sort(indices), _cache=whole._cache)


def _test(task: Task, source: DataSource, size: int | None, data_seed: int, sealed: bool) -> Part:
    if sealed or size is None:
        return Part(task, "evaluation", source, sealed=sealed)
    whole = Part(task, "evaluation", source)
    count = whole.raw().table.num_rows
    if size >= count:
        return whole
    return _part(whole, random.sample(count, size, seed=data_seed, purpose="test", name=task.card.name))


def _from_hub(task: Task, split: Split) -> pa.Table:
    import datasets

    source = task.card.source
    try:
        loaded = datasets.load_dataset(source.hub, source.config, split=source.splits[split], revision=source.revision)
    except Exception as error:  # the hub client raises its own, the network library's, and plain ones
        raise MissingPrerequisite(
            f"{task.card.name} needs the dataset {source.hub} ({source.config}, {source.splits[split]}): there is no "
            f"mirror, and the hub gave {type(error).__name__}: {error}; give --mirror DIR or PARETUNE_MIRROR=DIR"
        ) from error
    return loaded.data.table
