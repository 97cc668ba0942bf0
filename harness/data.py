"""Raw rows: a local mirror in hub layout, the hub, or a generator in the task's own file.

A mirror wins over the hub. Nothing falls back silently: a mirror without the dataset is an error, not a download.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness import imagelists
from harness.digest import file_digest
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.task import Split, Task

STATES = ("complete", "generated", "subset", "carved", "unknown")
"""How much of the official split is here, best first."""
PARQUET = ".parquet"


@dataclass(frozen=True)
class Raw:
    """One raw split, and what is known about it."""

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
        elif task.card.source.by_hand:
            raise MissingPrerequisite(
                f"{task.card.name} is in no dataset of the hub, and there is no mirror: {task.card.source.by_hand}; "
                f"then give --mirror DIR or PARETUNE_MIRROR=DIR"
            )
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
            return task.digest(split)
        if not self.mirror:
            return f"hub:{source.hub}/{source.config}/{source.splits[split]}@{source.revision or 'main'}"
        path = self._file(task, split)
        if path.suffix != PARQUET:
            return imagelists.digest(path)
        return str(self._manifest_row(task, split).get("sha256") or file_digest(path))

    def state(self, task: Task, split: Split) -> str:
        """Return how much of the official split is here: one of ``STATES``."""
        if not task.card.source.hub:
            return task.state(split)
        if not self.mirror:
            return "complete"
        return str(self._manifest_row(task, split).get("state", "unknown"))

    def reach(self, task: Task) -> str:
        """Say, without reading rows or asking the hub, whether a task's data can be had now, and in what state."""
        splits: list[Split] = [split for split in task.card.source.splits if split != "hidden"]
        if task.card.source.hub and not self.mirror:
            return "missing" if task.card.source.by_hand else "hub"
        try:
            for split in splits:
                self.check(task, split)
            return worst_state([self.state(task, split) for split in splits])
        except MissingPrerequisite:
            return "missing"

    def read(self, task: Task, split: Split) -> Raw:
        """Return the rows of one split that are the task's, with the columns that its code adds.

        Raises:
            MissingPrerequisite: if they cannot be had, or are not those that the manifest names.
        """
        raw = self.fetch(task, split)
        return Raw(task.prepare(_chosen(raw.table, task), split), raw.digest, raw.state)

    def fetch(self, task: Task, split: Split) -> Raw:
        """Return the rows of one split as the source has them; see ``read``."""
        self.check(task, split)
        digest, state = self.digest(task, split), self.state(task, split)
        if not task.card.source.hub:
            return Raw(task.table(split), digest, state)
        if not self.mirror:
            return Raw(_from_hub(task, split), digest, state)
        import pyarrow.parquet as pq

        path = self._file(task, split)
        if path.suffix != PARQUET:
            return Raw(imagelists.read(path), digest, state)
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
        folder = self.mirror / str(source.hub)
        path = self.mirror / mirrored(task, split)
        others = [self.mirror / source.in_mirror / Path(*path.parts[-2:])] if source.in_mirror else []
        lists = [folder / name / source.lists.splits[split] for name in source.lists.folders] if source.lists else []
        found = next((one for one in (path, *others, *lists) if one.is_file()), None)
        if found is None:
            tried = " or ".join(str(one.relative_to(self.mirror)) for one in (path, *others, *lists))
            hub = ", or run without a mirror where there is a network"
            raise MissingPrerequisite(
                f"the mirror {self.mirror} has no {tried}, which {task.card.name} needs; add the file, leave this task "
                f"out (--only task=...){f'; {source.by_hand}' if source.by_hand else hub}"
            )
        return found

    def _manifest_row(self, task: Task, split: Split) -> dict[str, object]:
        assert self.mirror is not None
        manifest = self.mirror / "MANIFEST.json"
        if not manifest.is_file():
            return {}
        files = _manifest(manifest, manifest.stat().st_mtime_ns)
        row: dict[str, object] = files.get(self._file(task, split).relative_to(self.mirror).as_posix(), {})
        return row


def mirrored(task: Task, split: Split) -> Path:
    """Return where a mirror keeps a split, below its own folder."""
    source = task.card.source
    return Path(str(source.hub), str(source.config), f"{source.splits[split]}.parquet")


def worst_state(states: list[str]) -> str:
    """Return the state of data that is put together from several splits."""
    return max(states, key=lambda state: STATES.index(state) if state in STATES else len(STATES))


@lru_cache(maxsize=4)
def _manifest(path: Path, changed: int) -> dict[str, dict[str, object]]:
    del changed  # belongs to the cache's key
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise MissingPrerequisite(f"{path} is not a manifest ({error!r}); fetch the mirror again") from error


def _chosen(table: pa.Table, task: Task) -> pa.Table:
    """Return the rows of a source that are the task's (``Source.where``)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column, values in task.card.source.where.items():
        if column not in table.column_names:
            raise MissingPrerequisite(
                f"{task.card.name} takes the rows of {task.card.source.hub} by their column {column}, which is not "
                f"there; it has {', '.join(table.column_names)}"
            )
        table = table.filter(pc.is_in(table.column(column), pa.array(values)))
    return table


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
