"""The command that fills a mirror says what became of everything, and fails where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.harness.commands import call

SUITE = "name: few\nbackbones: [tiny:bert]\nmethods: [base]\ntasks: [glue/rte]\n"


def test_a_mirror_that_lacks_something_is_filled_with_the_rest(tmp_path: Path) -> None:
    place = tmp_path / "there" / "nyu-mll" / "glue" / "rte"
    place.mkdir(parents=True)
    pq.write_table(pa.table({"sentence1": ["a"], "sentence2": ["b"], "label": [0]}), place / "validation.parquet")
    (tmp_path / "few.yaml").write_text(SUITE)
    called = call("mirror", tmp_path / "few.yaml", tmp_path / "here", "--mirror", tmp_path / "there")
    assert called.code == 1
    assert "failed      nyu-mll/glue/rte/train.parquet" in called.err
    assert "fetched     nyu-mll/glue/rte/validation.parquet  1 rows, unknown" in called.out
    assert f"use it with: --mirror {tmp_path / 'here'}" in called.out
    assert list(json.loads((tmp_path / "here" / "MANIFEST.json").read_text())["files"]) == [
        "nyu-mll/glue/rte/validation.parquet"
    ]


def test_an_unknown_suite_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    called = call("mirror", "nothing", tmp_path / "here")
    assert called.code == 2
    assert "unknown suite 'nothing'" in called.err
    assert not (tmp_path / "here").exists()
