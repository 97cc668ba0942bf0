"""Raw rows: a local mirror in hub layout, the hub, or a generator in the task's own file.

A mirror wins over the hub. Nothing falls back silently: a mirror without the dataset is an error, not a download.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness import imagelists
from harness.digest import file_digest
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.task import Source, Split, Task

STATES = ("complete", "generated", "subset", "carved", "unknown")
"""How much of the official split is here, best first."""
PARQUET = ".parquet"
COMMIT = re.compile(r"[0-9a-f]{40}")
PATIENCE = 20.0
"""Seconds that the hub may take to say what a branch is now."""


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
        elif task.card.source.hub and is_offline() and _cached(task.card.source) is None:
            raise MissingPrerequisite(
                f"{task.card.name} needs the dataset {task.card.source.hub} ({task.card.source.config}): there is no "
                f"mirror, and the hub is switched off by HF_HUB_OFFLINE; give --mirror DIR or PARETUNE_MIRROR=DIR, or "
                f"allow the hub"
            )

    def digest(self, task: Task, split: Split) -> str:
        """Return what identifies a split's rows, cheaply: the manifest's checksum, verified when the rows are read.

        Raises:
            MissingPrerequisite: if the hub does not say what a branch is now.
        """
        source = task.card.source
        if not source.hub:
            return task.digest(split)
        if not self.mirror:
            return f"hub:{source.hub}/{source.config}/{source.splits[split]}@{self.revision(task, split)}"
        path = self._file(task, split)
        if path.suffix != PARQUET:
            return imagelists.digest(path)
        return str(self._manifest_row(task, split).get("sha256") or file_digest(path))

    def revision(self, task: Task, split: Split) -> str | None:
        """Return the commit of the hub that a split's rows are of; null where nothing says it.

        Raises:
            MissingPrerequisite: if the hub does not say what a branch is now.
        """
        source = task.card.source
        if self.mirror:
            return str(found) if (found := self._manifest_row(task, split).get("revision")) else source.revision
        return _commit(source.hub, source.config, source.revision) if source.hub else None

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
            splits = splits[:1]
        try:
            for split in splits:
                self.check(task, split)
            if task.card.source.hub and not self.mirror:
                return "hub"
            return worst_state([self.state(task, split) for split in splits])
        except MissingPrerequisite:
            return "missing"

    def read(self, task: Task, split: Split) -> Raw:
        """Return the rows of one split that are the task's, with the columns that its code adds.

        Raises:
            MissingPrerequisite: if they cannot be had, or are not those that the manifest names.
        """
        raw = self.fetch(task, split)
        return Raw(task.prepare(chosen(raw.table, task), split), raw.digest, raw.state)

    def fetch(self, task: Task, split: Split) -> Raw:
        """Return the rows of one split as the source has them; see ``read``."""
        self.check(task, split)
        digest, state = self.digest(task, split), self.state(task, split)
        if not task.card.source.hub:
            return Raw(task.table(split), digest, state)
        if not self.mirror:
            return Raw(_from_hub(task, split), digest, state)
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._file(task, split)
        if path.suffix != PARQUET:
            return Raw(imagelists.read(path), digest, state)
        found = file_digest(path)
        if found != digest:
            raise MissingPrerequisite(
                f"{self._named(path)}, which {task.card.name} reads, is not the file that the mirror's MANIFEST.json "
                f"names: sha256 {digest} expected, {found} found; fetch it again (remove it, "
                f"paretune mirror) or mend the manifest"
            )
        try:
            return Raw(pq.read_table(path), digest, state)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).replace(str(path), path.name)
            raise MissingPrerequisite(
                f"{self._named(path)}, which {task.card.name} reads from the mirror, is no whole parquet file "
                f"({reason}); remove it and run paretune mirror again"
            ) from error

    def _named(self, path: Path) -> str:
        """Return a file's place in the mirror: what is said of it must not depend on where the mirror is."""
        assert self.mirror is not None
        return path.relative_to(self.mirror).as_posix()

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


def chosen(table: pa.Table, task: Task) -> pa.Table:
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


def is_offline() -> bool:
    """Return whether the hub is switched off."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}


@lru_cache(maxsize=256)
def _commit(hub: str, config: str | None, revision: str | None) -> str:
    """Return the commit that a branch is now, so that rows that change make another digest; a commit stays as it is."""
    if revision and COMMIT.fullmatch(revision):
        return revision
    if is_offline():  # the copy that the hub's cache holds is what will be read
        return _newest(hub, config) or revision or "main"
    import huggingface_hub

    try:
        return str(huggingface_hub.HfApi().dataset_info(hub, revision=revision, timeout=PATIENCE).sha)
    except Exception as error:  # the hub client raises its own, the network library's, and plain ones
        raise MissingPrerequisite(
            f"the dataset {hub} ({config}) is needed, there is no mirror, and the hub does not say what its "
            f"{revision or 'main'} is now ({type(error).__name__}: {error}); give --mirror DIR or PARETUNE_MIRROR=DIR"
        ) from error


def _cached(source: Source) -> str | None:
    """Return the commit of the copy that the hub's cache holds of a dataset; null where it holds none."""
    return _newest(str(source.hub), source.config)


def _newest(hub: str, config: str | None) -> str | None:
    """Return the commit that the cache's newest copy is of: datasets names the folder of a prepared copy by it."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_DATASETS_CACHE", home / "datasets")).expanduser()
    folders = (cache / hub.replace("/", "___") / str(config)).glob("*/*")
    copies = [one for one in folders if COMMIT.fullmatch(one.name) and (one / "dataset_info.json").is_file()]
    return max(copies, key=lambda one: one.stat().st_mtime).name if copies else None


def _from_hub(task: Task, split: Split) -> pa.Table:
    import datasets

    source = task.card.source
    revision = _commit(str(source.hub), source.config, source.revision)
    try:
        loaded = datasets.load_dataset(source.hub, source.config, split=source.splits[split], revision=revision)
    except Exception as error:  # the hub client raises its own, the network library's, and plain ones
        raise MissingPrerequisite(
            f"{task.card.name} needs the dataset {source.hub} ({source.config}, {source.splits[split]}): there is no "
            f"mirror, and the hub gave {type(error).__name__}: {error}; give --mirror DIR or PARETUNE_MIRROR=DIR"
        ) from error
    return loaded.data.table
