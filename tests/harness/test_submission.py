"""The command tells what it wrote, by which run, and what is missing; its exit code says whether all is there."""

from __future__ import annotations

import json
from pathlib import Path

from harness.api import run_suite
from harness.suite import parse
from tests.harness.commands import call
from tests.runners.test_submission import SUITE, write_mirror


def test_a_submission_is_written_and_what_is_missing_is_named(tmp_path: Path) -> None:
    source = write_mirror(tmp_path / "mirror")
    suite = {**SUITE, "tasks": ["glue/wnli"], "seeds": [1]}
    (record,) = run_suite(parse(suite), out=tmp_path / "runs", mirror=source.mirror, workers=1, device="cpu").records
    places = ["--out", str(tmp_path / "runs"), "--mirror", str(source.mirror)]
    done = call("submission", "glue", str(tmp_path / "glue"), *places)
    assert done.code == 1, done.err
    assert f"WNLI.tsv          146 rows of glue/wnli  (run {record.run_id}, lora on tiny:bert, seed 1)" in done.out
    assert "CoLA.tsv       NOT WRITTEN  no run of glue/cola" in done.out
    shown = json.loads(call("submission", "glue", str(tmp_path / "again"), *places, "--json").out)
    assert [row["file"] for row in shown["written"]] == ["WNLI.tsv"]
    assert len(shown["missing"]) == 10
    refused = call("submission", "glue", str(tmp_path / "glue"), *places)
    assert (refused.code, refused.out) == (2, "")
    assert "is not empty" in refused.err
    nothing = call("submission", "superglue", str(tmp_path / "superglue"), *places)
    assert nothing.code == 2
    assert "no run of superglue in" in nothing.err
    assert not (tmp_path / "superglue").exists()
