"""Rows come from where they should, whole and checked, and the split policies keep every promise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import DataSource, worst_state
from harness.errors import MissingPrerequisite
from harness.spec import Sizes
from harness.splits import SealedSplit, Splits, split
from harness.task import Split, Task, TaskCard

FACTS: dict[str, Any] = {
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "columns": {"text": "text", "label": "label"},
    "labels": ("no", "yes"),
    "sizes": {"train": 10, "evaluation": 4},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ("classify",),
}


class Numbered(Task):
    """A task whose rows are their own numbers."""

    def __init__(self, train: int, evaluation: int, name: str = "toy/numbered") -> None:
        super().__init__(TaskCard.model_validate({"name": name, "source": {}, **FACTS}))
        self.rows: dict[Split, int] = {"train": train, "evaluation": evaluation}

    def table(self, split: Split) -> pa.Table:
        numbers = range(self.rows[split])
        return pa.table({"text": [str(n) for n in numbers], "label": [n % 2 for n in numbers]})


def mirrored(folder: Path, manifest: object = None) -> tuple[Task, Path]:
    """Write a one-task mirror; return the task and its training file."""
    path = folder / "team" / "toy" / "small" / "train.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), path)
    if manifest is not None:
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    card = {"name": "toy/mirrored", "source": {"hub": "team/toy", "config": "small"}, **FACTS}
    return Task(TaskCard.model_validate(card)), path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def divide(task: Task, *, policy: str = "held_out", data_seed: int = 0, sealed: bool = False, **sizes: int) -> Splits:
    return split(task, [task], DataSource(), policy=policy, sizes=Sizes(**sizes), data_seed=data_seed, sealed=sealed)


def rows(splits: Splits) -> tuple[list[int], list[int], list[int]]:
    return tuple(  # type: ignore[return-value]
        part.chosen().tolist() for part in (splits.train, splits.validation, splits.tests["toy/numbered"])
    )


COUNTS = st.integers(10, 12_000)
LIMITS = st.one_of(st.none(), st.integers(1, 13_000))


@settings(max_examples=60)
@given(train=COUNTS, evaluation=st.integers(1, 3000), limits=st.tuples(LIMITS, LIMITS, LIMITS), seed=st.integers(0, 9))
def test_held_out_parts_are_disjoint_and_as_large_as_asked(
    train: int, evaluation: int, limits: tuple[int | None, int | None, int | None], seed: int
) -> None:
    sizes = {k: v for k, v in zip(("train", "validation", "test"), limits, strict=True) if v is not None}
    splits = divide(Numbered(train, evaluation), data_seed=seed, **sizes)
    trained, validated, tested = rows(splits)
    held = min(train // 10, 1000)
    assert len(trained) == min(train - held, limits[0] or train)
    assert len(validated) == min(held, limits[1] or held)
    assert len(tested) == min(evaluation, limits[2] or evaluation)
    for chosen, of in ((trained, train), (validated, train), (tested, evaluation)):
        assert chosen == sorted(set(chosen))
        assert 0 <= chosen[0] <= chosen[-1] < of
    assert not set(trained) & set(validated)
    assert splits.train.split == splits.validation.split == "train"
    assert splits.tests["toy/numbered"].split == "evaluation"


@settings(max_examples=30)
@given(small=st.integers(1, 900), more=st.integers(1, 900), policy=st.sampled_from(["held_out", "as_published"]))
def test_a_smaller_size_is_a_subset_of_a_larger_one(small: int, more: int, policy: str) -> None:
    task, large = Numbered(2000, 1000), small + more
    first = rows(divide(task, policy=policy, train=small, validation=small, test=small))
    second = rows(divide(task, policy=policy, train=large, validation=large, test=large))
    assert all(set(less) <= set(all_of_it) for less, all_of_it in zip(first, second, strict=True))


def test_the_data_seed_alone_decides_the_rows() -> None:
    first, again, other = (
        rows(divide(Numbered(500, 200), data_seed=seed, train=100, validation=20, test=50)) for seed in (0, 0, 1)
    )
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    chosen = rows(divide(Numbered(500, 200), train=100))[0]
    assert 150 < np.mean(chosen) < 350, "rows are drawn from all over the split"


def test_as_published_trains_on_all_and_selects_on_what_it_reports() -> None:
    trained, validated, tested = rows(divide(Numbered(50, 30), policy="as_published"))
    assert trained == list(range(50))
    assert validated == tested == list(range(30))
    _, few, more = rows(divide(Numbered(50, 30), policy="as_published", validation=5, test=20))
    assert set(few) < set(more)


def test_too_few_rows_to_hold_out_any_is_said() -> None:
    with pytest.raises(MissingPrerequisite, match="has 9 training rows, too few to hold out 10%"):
        divide(Numbered(9, 4))


@pytest.mark.parametrize("size", [{}, {"test": 2}])
def test_a_sealed_test_split_raises_on_every_read(size: dict[str, int]) -> None:
    sealed = divide(Numbered(50, 30), sealed=True, **size).tests["toy/numbered"]
    for read in (sealed.raw, sealed.chosen):
        with pytest.raises(SealedSplit, match="a trial may not read the test split of toy/numbered"):
            read()


def test_keys_name_the_rows() -> None:
    splits, others = divide(Numbered(50, 30), train=9), divide(Numbered(50, 30), train=8)
    keys = [part.key() for part in (splits.train, splits.validation, splits.tests["toy/numbered"], others.train)]
    assert len(set(keys)) == 4
    assert divide(Numbered(50, 30), train=9).train.key() == keys[0]


def test_a_generated_task_needs_no_mirror(tmp_path: Path) -> None:
    task = Numbered(50, 30)
    for source in (DataSource(), DataSource(tmp_path)):
        source.check(task, "train")
        raw = source.read(task, "train")
        assert (raw.table.num_rows, raw.state, raw.digest) == (50, "generated", "generated:toy/numbered@1")


def test_a_mirror_is_read_and_its_state_and_digest_reported(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path)
    row = {"sha256": sha256(path), "state": "subset"}
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"files": {"team/toy/small/train.parquet": row}}))
    raw = DataSource.of(tmp_path).read(task, "train")
    assert (raw.table.to_pydict()["text"], raw.digest, raw.state) == (["a", "b"], sha256(path), "subset")


def test_a_mirror_without_a_manifest_is_of_unknown_state(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path)
    raw = DataSource(tmp_path).read(task, "train")
    assert (raw.digest, raw.state) == (sha256(path), "unknown")


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path, {"files": {"team/toy/small/train.parquet": {"sha256": "0" * 64}}})
    with pytest.raises(MissingPrerequisite, match=f"sha256 {'0' * 64} expected, {sha256(path)} found; fetch it again"):
        DataSource(tmp_path).read(task, "train")


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"files": 3}', "{", '{"files": ["a"]}', "\ufeff{}"])
def test_a_broken_manifest_is_named(tmp_path: Path, manifest: str) -> None:
    task, _ = mirrored(tmp_path)
    (tmp_path / "MANIFEST.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(MissingPrerequisite, match="MANIFEST.json is not a manifest"):
        DataSource(tmp_path).digest(task, "train")


def test_a_mirror_that_lacks_a_file_does_not_fall_back_to_the_hub(tmp_path: Path) -> None:
    task, _ = mirrored(tmp_path)
    with pytest.raises(MissingPrerequisite, match="has no team/toy/small/validation.parquet, which toy/mirrored needs"):
        DataSource(tmp_path).check(task, "evaluation")


def test_a_hub_that_is_switched_off_is_said_before_any_work(tmp_path: Path) -> None:
    task, _ = mirrored(tmp_path)
    with pytest.raises(MissingPrerequisite, match="switched off by HF_HUB_OFFLINE; give --mirror DIR"):
        DataSource().check(task, "train")


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path / "absent"))
    with pytest.raises(MissingPrerequisite, match="absent' is not a folder; give --mirror"):
        DataSource.of()
    assert DataSource.of(tmp_path).mirror == tmp_path.resolve(), "the option wins over the variable"
    monkeypatch.delenv("PARETUNE_MIRROR")
    assert DataSource.of().mirror is None


def test_the_worst_state_of_several_is_reported() -> None:
    assert worst_state(["complete"]) == "complete"
    assert worst_state(["complete", "carved", "subset"]) == "carved"
    assert worst_state(["complete", "something new"]) == "something new"
