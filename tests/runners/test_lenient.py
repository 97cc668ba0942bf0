"""A savepoint that finds no room costs nothing but itself."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from runners.lenient import LenientSavepoints
from runners.savepoint import SAVEPOINT_FILE, read


@pytest.fixture
def file_limit() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("file_limit")
def test_a_full_disk_keeps_the_savepoint_before_and_is_tried_again_when_the_next_is_due(tmp_path: Path) -> None:
    clock = iter(range(0, 6000, 60))
    savepoints = LenientSavepoints(tmp_path, minutes=2, clock=lambda: next(clock))
    savepoints.save({"step": 1, "weights": torch.zeros(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    savepoints.save({"step": 2, "weights": torch.zeros(10_000)})
    assert savepoints.problem is not None
    assert "could not be written" in savepoints.problem
    assert "File too large" in savepoints.problem
    found = read(tmp_path / SAVEPOINT_FILE)
    assert found is not None
    assert found["content"]["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [SAVEPOINT_FILE]
    assert [savepoints.due(), savepoints.due()] == [False, True]
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    savepoints.save({"step": 3, "weights": torch.zeros(10_000)})
    assert savepoints.problem is None
    found = read(tmp_path / SAVEPOINT_FILE)
    assert found is not None
    assert found["content"]["step"] == 3
