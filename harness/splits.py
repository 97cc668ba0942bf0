"""Splits: which raw rows a run trains on, validates on and is scored on, as its policy says.

``held_out``      validation is the official validation split where the card names one, else a seeded 10 % of train (at
                  most 1,000 rows); test is the labelled evaluation split.
``as_published``  all of train is trained on, and the evaluation split both selects and is reported.
``subsampled``    the random-masking paper's: 1,000 rows to train on and 500 to validate on from one draw of train,
                  1,000 test rows from the evaluation split; a card may prescribe other sizes.
``final_on_all``  VTAB-1K's: trials train on train and validate on the official validation split, finals train on both
                  and take the last epoch.

Every subsample is a seeded draw, and a smaller size takes a subset of a larger one. Rows that a card's ``cluster``
column binds together stay together, except under ``subsampled``, which draws rows as the paper did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import random
from harness.data import DataSource, Raw, worst_state
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.spec import Sizes
    from harness.task import Split, Task

VALIDATION_SHARE, VALIDATION_LIMIT = 0.1, 1000
SUBSAMPLED = {"train": 1000, "validation": 500, "test": 1000}
ANSWERS = ("label", "answers", "target", "response")
"""Fields that hold what a row is answered with."""
Order = NDArray[np.int64]


class SealedSplit(RuntimeError):
    """A trial tried to read the test split."""


@dataclass(frozen=True)
class Part:
    """The rows of one role in a run: a raw split, or two, and the chosen indices; read when first asked for."""

    task: Task
    split: Split
    source: DataSource
    indices: Order | None = None
    """Rows of the raw splits, ascending; null takes all."""
    sealed: bool = False
    also: Split | None = None
    """A second raw split, whose rows follow those of the first."""
    _cache: list[Raw] = field(default_factory=list, repr=False, compare=False)

    def raw(self) -> Raw:
        """Return the whole raw split, or both.

        Raises:
            SealedSplit: if this is the test split of a trial.
        """
        if self.sealed:
            raise SealedSplit(
                f"a trial may not read the test split of {self.task.card.name}; only a final run does, once"
            )
        if not self._cache:
            read = [self.source.read(self.task, split) for split in self.splits]
            self._cache.append(read[0] if len(read) == 1 else _joined(read))
        return self._cache[0]

    @property
    def splits(self) -> tuple[Split, ...]:
        """The raw splits that the rows come from."""
        return (self.split,) if self.also is None else (self.split, self.also)

    @property
    def title(self) -> str:
        """What messages call these rows."""
        return f"{self.task.card.name} ({' and '.join(self.splits)})"

    def chosen(self) -> Order:
        """Return the chosen row numbers, ascending."""
        return np.arange(self.raw().table.num_rows) if self.indices is None else self.indices

    def item_ids(self) -> tuple[str, ...]:
        """Return the name of each chosen row: its split and its row number there."""
        first = self.source.read(self.task, self.split).table.num_rows if self.also else np.iinfo(np.int64).max
        return tuple(
            f"{self.split}:{row}" if row < first else f"{self.also}:{row - first}" for row in self.chosen().tolist()
        )

    def cluster_ids(self) -> tuple[str, ...]:
        """Return what each chosen row is bound to: its cluster where the card names one, else itself."""
        column = self.task.card.cluster
        if column is None:
            return self.item_ids()
        return tuple(f"{self.split}:{value}" for value in self.values(column))

    def values(self, column: str) -> list[Any]:
        """Return a column's values for the chosen rows (Any: as the source has them).

        Raises:
            MissingPrerequisite: if there is no such column, or there are no rows.
        """
        table = self.raw().table
        if not len(self.chosen()):
            raise MissingPrerequisite(f"{self.title} has no rows; raise sizes or check the data")
        found: list[Any] = _column(table, column, self.title).take(self.chosen()).to_pylist()
        return found

    def fields(self, **kinds: type | tuple[type, ...]) -> dict[str, list[Any]]:
        """Return the values of the card's columns for some of its fields, each checked to be of a kind.

        Args:
            **kinds: field to the type, or types, that its values must have.

        Raises:
            MissingPrerequisite: for a missing column, an empty split, or a value of another type; by name.
        """
        columns = self.task.card.columns
        missing = sorted(kinds.keys() - columns.keys())
        if missing:
            raise MissingPrerequisite(
                f"the card of {self.task.card.name} names no column for {', '.join(missing)}; add it to columns"
            )
        found = {}
        for name, kind in kinds.items():
            values = found[name] = self.values(columns[name])
            wrong = [row for row, value in enumerate(values) if not isinstance(value, kind)]
            if wrong:
                wanted = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
                came = values[wrong[0]]
                raise MissingPrerequisite(
                    f"{self.title} has {len(wrong)} rows whose column {columns[name]} is no {wanted}, such as row "
                    f"{self.chosen()[wrong[0]]} ({type(came).__name__}); mend the data or the card"
                )
        return found

    def key(self) -> str:
        """Return what names these rows in a cache."""
        chosen = "all" if self.indices is None else hashlib.sha256(self.indices.tobytes()).hexdigest()[:16]
        digests = "+".join(f"{self.source.digest(self.task, split)}/{split}" for split in self.splits)
        return f"{digests}/{chosen}"


@dataclass(frozen=True)
class Splits:
    """What one run reads."""

    train: Part
    validation: Part | None
    """Null where nothing is held out: the last epoch is taken."""
    tests: dict[str, Part]
    """Scored task to its test rows; sealed for a trial."""


@dataclass(frozen=True)
class _Division:
    """What a policy divides."""

    trained: Task
    source: DataSource
    sizes: Sizes
    data_seed: int
    sealed: bool

    def size(self, role: str, usual: int | None = None) -> int | None:
        """Return the largest number of rows of a role: the run's own, else the usual one."""
        asked: int | None = getattr(self.sizes, role)
        return usual if asked is None else asked

    def test(self, task: Task, size: int | None, *, sealed: bool, by_cluster: bool = True) -> Part:
        whole = Part(task, "evaluation", self.source, sealed=sealed)
        if sealed or size is None:
            return whole
        return self.draw(whole, size, "test", by_cluster)

    def draw(self, whole: Part, size: int | None, purpose: str, by_cluster: bool = True) -> Part:
        """Return a seeded subset of some rows, or all where they are no more."""
        count = whole.raw().table.num_rows
        if size is None or size >= count:
            return whole
        card = whole.task.card
        if card.cluster is None or not by_cluster:
            return _part(whole, random.sample(count, size, seed=self.data_seed, purpose=purpose, name=card.name))
        return _part(whole, _whole_clusters(self.order(whole, purpose), whole, size))

    def order(self, whole: Part, purpose: str, by_cluster: bool = True) -> Order:
        """Return all rows in a seeded order; those of one cluster one after the other."""
        card, count = whole.task.card, whole.raw().table.num_rows
        order = random.permutation(count, seed=self.data_seed, purpose=purpose, name=card.name)
        if card.cluster is None or not by_cluster:
            return order
        codes = _codes(whole)
        _, first = np.unique(codes[order], return_index=True)  # where each cluster comes first in the shuffled order
        return order[np.argsort(first[codes[order]], kind="stable")]


def _held_out(of: _Division) -> tuple[Part, Part | None]:
    whole = Part(of.trained, "train", of.source)
    if "validation" in of.trained.card.source.splits:
        official = Part(of.trained, "validation", of.source)
        return of.draw(whole, of.sizes.train, "train"), of.draw(official, of.sizes.validation, "validation")
    count = whole.raw().table.num_rows
    order = of.order(whole, "held_out")
    held = min(int(count * VALIDATION_SHARE), VALIDATION_LIMIT)
    if held and of.trained.card.cluster:
        held = len(_whole_clusters(order, whole, held))
    if not held or held == count:
        raise MissingPrerequisite(
            f"{of.trained.card.name} has {count} training rows, too few to hold out {VALIDATION_SHARE:.0%} for "
            f"validation"
        )
    return _cut(whole, order[held:], of.sizes.train), _cut(whole, order[:held], of.sizes.validation)


def _as_published(of: _Division) -> tuple[Part, Part | None]:
    whole = Part(of.trained, "train", of.source)
    train = _cut(whole, of.order(whole, "held_out"), of.sizes.train)
    return train, of.test(of.trained, of.sizes.validation, sealed=False)


def _subsampled(of: _Division) -> tuple[Part, Part | None]:
    whole = Part(of.trained, "train", of.source)
    usual = SUBSAMPLED | of.trained.card.policy_sizes.get("subsampled", {})
    train, validation = (of.size(role, usual[role]) or 0 for role in ("train", "validation"))
    # One draw of both, its tail to validate on; where the split is smaller, everything is used.
    order = of.order(whole, "subsampled", by_cluster=False)[: train + validation]
    if len(order) <= validation:
        raise MissingPrerequisite(
            f"{of.trained.card.name} has {len(order)} training rows, and {validation} of them to validate on leave "
            f"none to train on; lower sizes.validation"
        )
    cut = len(order) - validation
    return _part(whole, order[:cut]), _part(whole, order[cut:])


def _final_on_all(of: _Division) -> tuple[Part, Part | None]:
    if "validation" not in of.trained.card.source.splits:
        raise MissingPrerequisite(
            f"{of.trained.card.name} has no official validation split, which the policy final_on_all trains finals on; "
            f"choose held_out"
        )
    train = Part(of.trained, "train", of.source)
    if not of.sealed:
        return of.draw(replace(train, also="validation", _cache=[]), of.sizes.train, "train"), None
    official = Part(of.trained, "validation", of.source)
    return of.draw(train, of.sizes.train, "train"), of.draw(official, of.sizes.validation, "validation")


POLICIES: dict[str, Callable[[_Division], tuple[Part, Part | None]]] = {
    "held_out": _held_out,
    "as_published": _as_published,
    "subsampled": _subsampled,
    "final_on_all": _final_on_all,
}


def split(
    trained: Task,
    scored: Sequence[Task],
    source: DataSource,
    *,
    policy: str,
    sizes: Sizes,
    data_seed: int,
    sealed: bool,
) -> Splits:
    """Divide the raw splits as a policy says; ``sealed`` is for trials, which never read test rows.

    Raises:
        MissingPrerequisite: if a split is missing, or too small for the policy.
    """
    of = _Division(trained, source, sizes, data_seed, sealed)
    train, validation = POLICIES[policy](of)
    by_cluster = policy != "subsampled"
    tests = {}
    for task in scored:
        prescribed: dict[str, int] = {**(SUBSAMPLED if policy == "subsampled" else {})}
        prescribed |= task.card.policy_sizes.get(policy, {})  # type: ignore[arg-type]  # its keys are of fewer words
        size = of.size("test", prescribed.get("test"))
        tests[task.card.name] = of.test(task, size, sealed=sealed, by_cluster=by_cluster)
    return Splits(train, validation, tests)


def used(trained: Task, policy: str) -> tuple[Split, ...]:
    """Return the raw splits of the trained task that a policy draws training and validation rows from."""
    official = "validation" in trained.card.source.splits and policy in ("held_out", "final_on_all")
    return ("train", "validation") if official else ("train",)


def num_shared(first: Part, second: Part) -> int:
    """Return how many rows of ``second`` have inputs that stand in ``first`` too, letter by letter."""
    seen = set(_inputs(first))
    return sum(row in seen for row in _inputs(second))


def _inputs(part: Part) -> list[str]:
    fields = sorted(part.task.card.columns.items())
    # Answers are no inputs, and neither is what names a row or its group: each split counts anew.
    names = [column for field, column in fields if field not in ANSWERS and not _is_name(field)]
    if not fields:  # a card that leaves its rows to lm-eval's templates says nothing of what is asked: all of a row
        names = [column for column in part.raw().table.column_names if not _is_name(column)]
    columns = [map(_bare, part.values(name)) for name in names]
    return list(map(repr, zip(*columns, strict=True))) if names else []


def _is_name(column: str) -> bool:
    """Return whether a field or column names rows or their groups."""
    return column.lower() in ("id", "idx", "index", "guid") or column.lower().endswith(("_id", "_idx"))


def _bare(value: Any) -> Any:  # Any: as the source has it
    """Return what makes a value the same input as another: an image's bytes and not its file's name, as a digest."""
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        value = value["bytes"]
    return hashlib.sha256(value).digest() if isinstance(value, bytes) else value


def _joined(read: Sequence[Raw]) -> Raw:
    import pyarrow as pa

    table = pa.concat_tables([raw.table for raw in read], promote_options="default")
    return Raw(table, "+".join(raw.digest for raw in read), worst_state([raw.state for raw in read]))


def _column(table: pa.Table, path: str, title: str) -> Any:  # Any: an Arrow column, which has no stubs
    import pyarrow as pa
    import pyarrow.compute as pc

    if path in table.column_names:
        return table.column(path)
    name, *inner = path.split(".")
    if name not in table.column_names:
        raise MissingPrerequisite(f"{title} has no column {path}; it has {', '.join(table.column_names)}")
    column = table.column(name)
    for part in inner:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
            raise MissingPrerequisite(f"{title} has no column {path}: {name} is {column.type}")
        column = pc.struct_field(column, part)
    return column


def _codes(whole: Part) -> NDArray[np.int64]:
    """Return the cluster number of every raw row."""
    everything = replace(whole, indices=None)
    values = list(map(repr, everything.values(str(whole.task.card.cluster))))
    return np.unique(np.array(values), return_inverse=True)[1].astype(np.int64)


def _whole_clusters(order: Order, whole: Part, size: int) -> Order:
    """Return the longest beginning of a cluster-wise order that has at most ``size`` rows and cuts no cluster.

    The first cluster is taken whole even where it is larger.
    """
    if size >= len(order):
        return order
    codes = _codes(whole)[order]
    ends = np.flatnonzero(np.diff(codes)) + 1  # after the last row of each cluster but the last
    fitting = ends[ends <= size]
    return order[: int(fitting[-1] if fitting.size else ends[0] if ends.size else len(order))]


def _cut(whole: Part, order: Order, size: int | None) -> Part:
    if size is not None and whole.task.card.cluster is not None:
        return _part(whole, _whole_clusters(order, whole, size))
    return _part(whole, order[:size])


def _part(whole: Part, indices: Order) -> Part:
    return Part(whole.task, whole.split, whole.source, np.sort(indices), also=whole.also, _cache=whole._cache)
