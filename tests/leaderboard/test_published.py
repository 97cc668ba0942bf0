"""A board for the world ranks less than one at home."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from leaderboard.page import Asked, build_board
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import words


def test_a_published_board_does_not_rank_dirty_carved_or_one_seed_records(tmp_path: Path) -> None:
    clean = {"torch": "2.13.0", "dirty": False}
    kinds: dict[str, dict[str, Any]] = {"fish": {}, "lora": {}, "pst": {"environment": clean | {"dirty": True}}}
    for seed in range(3):
        for method, facts in kinds.items():
            made = Made(method, seed=seed, **({"environment": clean} | facts))
            made.items = {"glue/sst2": answers(100, 9 + seed, seed)}
            made.write(tmp_path / "records")
            carved = Made(method, task="glue/cola", seed=seed, environment=clean, state="carved")
            carved.items = {"glue/cola": answers(100, 9 + seed, seed)}
            carved.write(tmp_path / "records")
    Made("goft", environment=clean, items={"glue/sst2": answers(100, 9)}).write(tmp_path / "records")
    found: dict[bool, dict[tuple[str, str], str]] = {}
    for published in (False, True):
        out = tmp_path / f"site{published}"
        build_board([tmp_path / "records"], out, asked=Asked(published=published))
        lines = list(csv.DictReader((out / "cells.csv").read_text(encoding="utf-8").splitlines()))
        found[published] = {(line["method"], line["task"]): line["obstacle"] for line in lines if line["mean"]}
        ranked = {(line["method"], line["task"]) for line in lines if line["letters"]}
        assert ranked == {key for key, obstacle in found[published].items() if not obstacle}
    assert found[False] == dict.fromkeys(found[False], "") | {("goft", "glue/sst2"): "one seed"}
    assert found[True] == found[False] | {
        ("pst", "glue/sst2"): "dirty checkout",
        **{(method, "glue/cola"): "carved data" for method in kinds},
    }
    texts = words(tmp_path / "siteTrue" / "index.html")
    assert "dirty checkout" in texts
    assert "carved data" in texts


def test_the_same_records_are_built_again_when_the_board_is_to_be_published(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(100, 9)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    before = (tmp_path / "site" / "index.html").stat().st_mtime_ns
    build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(published=True))
    assert (tmp_path / "site" / "index.html").stat().st_mtime_ns != before
