"""The split policies keep every promise: disjoint, seeded, nested, sealed, and no cluster torn apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.spec import POLICIES, Sizes
from harness.splits import POLICIES as RULES
from harness.splits import Part, SealedSplit, Splits, num_shared, split, used
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


class Official(Task):
    """A task with an official validation split, whose rows are numbered through all splits."""

    SIZES: dict[Split, int] = {"train": 80, "validation": 20, "evaluation": 30}

    def __init__(self, **facts: Any) -> None:
        splits = {"train": "train", "validation": "validation", "evaluation": "test"}
        super().__init__(
            TaskCard.model_validate({"name": "toy/numbered", "source": {"splits": splits}, **FACTS, **facts})
        )

    def table(self, split: Split) -> pa.Table:
        first = {"train": 0, "validation": 80, "evaluation": 100}[split]
        numbers = range(first, first + self.SIZES[split])
        return pa.table({"text": [str(n) for n in numbers], "label": [n % 2 for n in numbers]})


class Clustered(Numbered):
    """A task whose rows come in clusters of one to five that lie scattered."""

    def __init__(self, train: int, evaluation: int) -> None:
        super().__init__(train, evaluation)
        self.card = self.card.model_copy(update={"cluster": "of.question"})

    def table(self, split: Split) -> pa.Table:
        questions = np.random.default_rng(3).integers(0, max(1, self.rows[split] // 3), self.rows[split])
        return super().table(split).append_column("of", pa.array([{"question": int(one)} for one in questions]))


def divide(task: Task, *, policy: str = "held_out", data_seed: int = 0, sealed: bool = False, **sizes: int) -> Splits:
    return split(task, [task], DataSource(), policy=policy, sizes=Sizes(**sizes), data_seed=data_seed, sealed=sealed)


def rows(splits: Splits) -> tuple[list[int], list[int], list[int]]:
    assert splits.validation is not None
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
    assert splits.validation is not None
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
    assert splits.validation is not None
    keys = [part.key() for part in (splits.train, splits.validation, splits.tests["toy/numbered"], others.train)]
    assert len(set(keys)) == 4
    assert divide(Numbered(50, 30), train=9).train.key() == keys[0]


def test_an_official_validation_split_is_what_held_out_validates_on() -> None:
    splits = divide(Official(), train=30, validation=8)
    assert splits.validation is not None
    assert (splits.train.split, splits.validation.split) == ("train", "validation")
    assert [len(chosen) for chosen in rows(splits)] == [30, 8, 30]
    assert used(Official(), "held_out") == ("train", "validation")
    assert used(Official(), "as_published") == used(Numbered(9, 9), "held_out") == ("train",)


def test_final_on_all_tunes_on_train_and_trains_finals_on_both_splits_without_selecting() -> None:
    trial = divide(Official(), policy="final_on_all", sealed=True)
    assert trial.validation is not None
    assert (trial.train.splits, trial.validation.splits) == (("train",), ("validation",))
    final = divide(Official(), policy="final_on_all")
    assert final.validation is None
    assert final.train.values("text") == [str(number) for number in range(100)]
    assert final.train.item_ids()[78:82] == ("train:78", "train:79", "validation:0", "validation:1")
    few = divide(Official(), policy="final_on_all", train=10).train
    assert len(few.item_ids()) == 10
    assert few.key() != final.train.key() != trial.train.key()
    with pytest.raises(MissingPrerequisite, match="no official validation split"):
        divide(Numbered(50, 30), policy="final_on_all")


def test_subsampled_draws_a_thousand_and_five_hundred_from_train_and_a_thousand_to_test_on() -> None:
    trained, validated, tested = rows(divide(Numbered(9000, 4000), policy="subsampled"))
    assert (len(trained), len(validated), len(tested)) == (1000, 500, 1000)
    assert not set(trained) & set(validated)
    trained, validated, tested = rows(divide(Numbered(700, 40), policy="subsampled"))
    assert (len(trained), len(validated), len(tested)) == (200, 500, 40), "a smaller split is used up"
    with pytest.raises(MissingPrerequisite, match="400 training rows, and 500 of them to validate on leave none"):
        divide(Numbered(400, 100), policy="subsampled")


def test_a_card_prescribes_its_sizes_under_a_policy_and_the_suite_wins() -> None:
    task = Numbered(400, 100)
    task.card = task.card.model_copy(update={"policy_sizes": {"subsampled": {"validation": 100, "test": 60}}})
    assert [len(chosen) for chosen in rows(divide(task, policy="subsampled"))] == [300, 100, 60]
    assert [len(chosen) for chosen in rows(divide(task, policy="subsampled", validation=50))] == [350, 50, 60]
    assert [len(chosen) for chosen in rows(divide(task))] == [360, 40, 100]


@settings(max_examples=40)
@given(train=st.integers(20, 400), size=st.integers(1, 400), seed=st.integers(0, 5))
def test_no_cluster_is_torn_apart(train: int, size: int, seed: int) -> None:
    splits = divide(Clustered(train, 90), data_seed=seed, train=size, test=size)
    assert splits.validation is not None
    parts = [splits.train, splits.validation, splits.tests["toy/numbered"]]
    clusters = [set(part.cluster_ids()) for part in parts]
    assert not clusters[0] & clusters[1]
    for part in parts:
        questions = [one["question"] for one in part.raw().table.column("of").to_pylist()]
        chosen = set(part.values("of.question"))
        assert part.chosen().tolist() == [row for row, question in enumerate(questions) if question in chosen]
    largest = max(np.unique(parts[2].values("of.question"), return_counts=True)[1])
    assert len(parts[2].chosen()) <= max(size, largest)


def test_fields_are_read_by_the_card_and_checked_by_name() -> None:
    task = Clustered(30, 20)
    train = divide(task).train
    assert train.fields(text=str)["text"] == [str(row) for row in train.chosen()]
    assert set(map(type, train.values("of.question"))) == {int}
    with pytest.raises(
        MissingPrerequisite,
        match=r"toy/numbered \(train\) has 2\d rows whose column text is no int, such as row 0 \(str\)",
    ):
        train.fields(text=int)
    with pytest.raises(MissingPrerequisite, match="names no column for span"):
        train.fields(span=str)
    with pytest.raises(MissingPrerequisite, match=r"no column of\.answer: of is struct<question: int64>"):
        train.values("of.answer")
    with pytest.raises(MissingPrerequisite, match="no column nothing; it has text, label, of"):
        train.values("nothing")


def test_rows_that_stand_in_training_and_test_are_counted() -> None:
    splits = divide(Numbered(50, 30), policy="as_published", train=50)
    assert num_shared(splits.train, splits.tests["toy/numbered"]) == 30
    apart = divide(Official())
    assert num_shared(apart.train, apart.tests["toy/numbered"]) == 0


def test_every_policy_of_a_spec_has_its_rule() -> None:
    assert tuple(RULES) == POLICIES


class Given(Official):
    """A task whose rows are given, split by split."""

    def __init__(self, rows: dict[Split, dict[str, list[Any]]], columns: dict[str, str]) -> None:
        super().__init__(columns=columns)
        self.given = rows

    def table(self, split: Split) -> pa.Table:
        return pa.table(self.given[split])

    def shared(self) -> int:
        """Return how many evaluation rows stand in train."""
        return num_shared(Part(self, "train", DataSource()), Part(self, "evaluation", DataSource()))


def test_rows_of_a_card_without_columns_are_compared_as_a_whole_but_for_their_names() -> None:
    rows: dict[Split, dict[str, list[Any]]] = {
        "train": {"idx": [0, 1, 2], "q": ["a", "b", "c"], "answers": [["x"], ["y"], ["z"]]},
        "evaluation": {"idx": [7, 8, 9], "q": ["a", "b", "d"], "answers": [["x"], ["other"], ["z"]]},
    }
    assert Given(rows, {}).shared() == 1


@pytest.mark.parametrize("answer", ["target", "response"])
def test_what_a_row_is_answered_with_does_not_tell_inputs_apart(answer: str) -> None:
    rows: dict[Split, dict[str, list[Any]]] = {
        "train": {"source": ["a", "b"], "said": ["one", "two"]},
        "evaluation": {"source": ["a", "c"], "said": ["in other words", "two"]},
    }
    assert Given(rows, {"source": "source", answer: "said"}).shared() == 1
