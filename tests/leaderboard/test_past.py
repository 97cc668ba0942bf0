"""What earlier records say of seeds: each result once, of the same metric and version of the task."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UserError
from leaderboard.drops import History
from leaderboard.load import load_records
from leaderboard.matching import cells_of
from leaderboard.past import history, past_of
from leaderboard.releases import freeze
from tests.leaderboard.making import card
from tests.leaderboard.regressing import TASK, write


def told(base: Path, *folders: Path) -> History:
    known = load_records([base])
    ((key, placed),) = cells_of(known.runs, {}).cells.items()
    return history(past_of(folders, [known]), key, placed)


def test_sets_are_pooled_and_copies_tell_nothing(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    first, second = write(tmp_path / "first", trained=1), write(tmp_path / "second", 0.6, trained=2, seeds=[0, 1])
    shutil.copytree(first, tmp_path / "copy")
    found = told(base, base, first, tmp_path / "copy", second)
    assert found.degrees == 3
    means = [
        np.array([run.record.scores[0].metrics["accuracy"] for run in load_records([folder]).runs], dtype=np.float64)
        for folder in (first, second)
    ]
    expected = sum(float(((one - one.mean()) ** 2).sum()) for one in means) / 3
    assert found.variance == pytest.approx(expected)


def test_one_seed_other_metrics_and_other_versions_tell_nothing(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    one = write(tmp_path / "one", trained=1, seeds=[0])
    f1 = write(tmp_path / "f1", trained=2, cards={TASK: card(TASK, "f1")})
    newer = write(tmp_path / "newer", trained=3, cards={TASK: {**card(TASK), "version": 2}})
    assert told(base, one, f1, newer).degrees == 0


def test_each_release_of_a_folder_is_a_set_of_its_own(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    for number in (1, 2):
        write(tmp_path / f"records{number}", 0.5 + 0.1 * number, trained=number)
        freeze([tmp_path / f"records{number}"], tmp_path / "releases", f"r{number}")
    assert told(base, tmp_path / "releases").degrees == 4
    assert told(base, tmp_path / "releases" / "r1").degrees == 2
    apart = told(base, tmp_path / "records1", tmp_path / "records2")
    assert told(base, tmp_path / "releases").variance == pytest.approx(apart.variance)


def test_an_altered_release_is_refused(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    freeze([write(tmp_path / "records", trained=1)], tmp_path / "releases", "r1")
    next((tmp_path / "releases" / "r1" / "records").rglob("items.parquet")).unlink()
    with pytest.raises(UserError, match="was altered"):
        told(base, tmp_path / "releases")
