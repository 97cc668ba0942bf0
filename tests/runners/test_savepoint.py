"""A training that is killed goes on from its savepoint to the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from runners.course import Fitted
from runners.fit import Trainer
from runners.savepoint import SAVEPOINT_FILE, Savepoints, read, write
from tests.runners.toy import examples, started, trainer

TRAIN, VALIDATION = examples(32), examples(24, seed=1, offset=32)
STEPS_AN_EPOCH, EPOCHS = 4, 3


class Killed(Exception):
    """Stands for the end of the process."""


def minutes() -> Iterator[float]:
    """A clock whose every reading is a minute later."""
    minute = 0.0
    while True:
        yield minute
        minute += 60


def ticking() -> Any:
    clock = minutes()
    return lambda: next(clock)


def job(
    method: str, folder: Path, earlier: tuple[Path, ...] = (), dies_after: int | None = None, **values: Any
) -> Trainer:
    folder.mkdir(exist_ok=True)
    savepoints = Savepoints(folder, 1e-9, earlier, "the same", clock=ticking())
    base = trainer(started(method, **values), epochs=EPOCHS, lr=1e-2)
    made = Trainer(
        base.model, base.method, base.protocol, base.evaluator, base.training, base.streams, savepoints=savepoints
    )
    if dies_after is not None:
        after = base.method.after_step

        def dying(step: int) -> None:
            after(step)
            if step > dies_after:
                raise Killed

        base.method.after_step = dying  # type: ignore[method-assign]
    base.method.calibrate(base.model, made.samples(TRAIN))
    return made


def equal(first: Fitted, second: Fitted) -> bool:
    same = first.state.keys() == second.state.keys()
    return same and all(torch.equal(first.state[name], second.state[name]) for name in first.state)


@pytest.mark.parametrize("dies_after", [1, 3, 4, 6, 9])
@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("full", {}),
        ("lora", {}),
        ("random_mask", {}),
        ("fish", {"count": 60, "samples": 8, "reselect": True}),
        ("pst", {}),
        ("movement_prune", {}),
        ("qgoft", {}),
    ],
)
def test_a_killed_training_ends_in_the_same_bits(tmp_path: Path, method: str, values: Any, dies_after: int) -> None:
    whole = job(method, tmp_path / "whole", **values).fit(TRAIN, VALIDATION)
    with pytest.raises(Killed):
        job(method, tmp_path / "001", dies_after=dies_after, **values).fit(TRAIN, VALIDATION)
    torch.manual_seed(99)  # what went on in the new process is of no matter
    going_on = job(method, tmp_path / "002", (tmp_path / "001",), **values)
    rest = going_on.fit(TRAIN, VALIDATION)
    assert going_on.savepoints is not None
    assert going_on.savepoints.continued_from == "001"
    assert equal(whole, rest)
    assert whole.validation == rest.validation
    assert (
        (whole.steps, whole.best_epoch) == (rest.steps, rest.best_epoch) == (STEPS_AN_EPOCH * EPOCHS, rest.best_epoch)
    )


def test_of_other_code_or_damaged_is_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        job("lora", tmp_path / "001", dies_after=5).fit(TRAIN, VALIDATION)
    other = Savepoints(tmp_path / "002", 1.0, (tmp_path / "001",), "another")
    assert other.load() is None
    (tmp_path / "001" / SAVEPOINT_FILE).write_bytes(b"half a file")
    assert Savepoints(tmp_path / "002", 1.0, (tmp_path / "001",), "the same").load() is None


def test_a_method_whose_state_is_not_all_of_it_starts_anew(tmp_path: Path) -> None:
    folder = tmp_path / "001"
    going = job("peft/adalora", folder)
    assert not going.method.resumable()
    going.fit(TRAIN, VALIDATION)
    assert not (folder / SAVEPOINT_FILE).exists()


def test_savepoints_are_as_far_apart_as_asked_and_removed_with_those_before(tmp_path: Path) -> None:
    now = [0.0]
    earlier = tmp_path / "001"
    for folder in (earlier, tmp_path / "002"):
        folder.mkdir()
    write(earlier / SAVEPOINT_FILE, {"provenance": "x", "content": 1})
    savepoints = Savepoints(tmp_path / "002", 2.0, (earlier,), "x", clock=lambda: now[0])
    assert not savepoints.due()
    now[0] = 121.0
    assert savepoints.due()
    savepoints.save({"a": 1})
    assert not savepoints.due()
    savepoints.remove()
    assert not list(tmp_path.rglob(SAVEPOINT_FILE))
    assert not Savepoints(tmp_path / "002", None).due()


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())
TENSORS = st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(lambda numbers: torch.tensor(numbers))
NESTED = st.recursive(
    LEAVES | TENSORS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=10,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and bool(first == second)


@settings(max_examples=60, deadline=None)
@given(content=NESTED)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.mktemp("savepoint") / SAVEPOINT_FILE
    write(path, {"content": content})
    found = read(path)
    assert found is not None
    assert same(found["content"], content)
