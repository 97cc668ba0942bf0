"""A paper's number has a gap only beside the same measured on complete data; else the line says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UnknownName
from leaderboard.load import load_records
from leaderboard.papers import PAPERS, Line, report
from tests.leaderboard.making import Made, answers, card

DEBERTA = "hub:microsoft/deberta-v3-base@abc"
CARD = card("glue/sst2") | {
    "source": {"hub": "x", "splits": {"train": "train", "evaluation": "validation", "validation": "validation"}},
    "sizes": {"train": 67349, "evaluation": 40},
}


def goft(folder: Path, stale: bool = False, **facts: Any) -> Line:
    """Return GOFT's line on SST-2 beside three seeds with 4, 5 and 6 of 40 answers wrong."""
    shared = {"method": "goft", "backbone": DEBERTA, "trained": 82_872, "cards": {"glue/sst2": CARD}, **facts}
    for seed in range(3):
        made = Made(**shared, seed=seed)
        made.items = {made.task: answers(40, 4 + seed, seed)}
        made.write(folder)
    runs = load_records([folder]).runs
    lines = report("goft", runs, {runs[0].run_id: "changed"} if stale else {}).lines
    (found,) = [line for line in lines if (line.number.method, line.number.task) == ("goft", "glue/sst2")]
    return found


def test_the_same_on_complete_data_has_a_gap(tmp_path: Path) -> None:
    line = goft(tmp_path)
    assert (line.reason, line.number.value) == ("", 0.961)
    assert line.measured is not None
    assert (line.measured.value, line.measured.num_seeds, line.measured.trained) == (0.875, 3, 82_872)
    assert line.gap == pytest.approx(0.875 - 0.961)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"backbone": "hub:google-bert/bert-base-uncased"}, "another backbone, hub:google-bert/bert-base-uncased"),
        ({"state": "subset"}, "our data are subset"),
        ({"spec": {"sizes": {"train": 1500}}}, "trained on at most 1,500 rows"),
        ({"cards": {"glue/sst2": CARD | {"sizes": {"evaluation": 872}}}}, "scored 40 of 872 items"),
        ({"cards": {"glue/sst2": CARD | {"source": None}}}, "scored on an unknown split, reported on validation"),
        ({"trained": 331_488}, "another size, 331,488"),
        ({"spec": {"policy": "subsampled"}}, "trained on a subsample of the rows"),
        ({"stale": True}, "stale"),
    ],
)
def test_anything_else_is_not_comparable(tmp_path: Path, facts: dict[str, Any], reason: str) -> None:
    line = goft(tmp_path, **facts)
    assert (line.gap, line.reason) == (None, reason)
    assert line.measured is not None
    assert line.measured.value == 0.875


def test_what_is_nearest_stands_beside_a_number(tmp_path: Path) -> None:
    goft(tmp_path / "a", backbone="package:tiny/model", state="carved")
    assert goft(tmp_path, state="subset").reason == "our data are subset"


def test_a_paper_without_numbers_or_records_says_so() -> None:
    for name in PAPERS:
        found = report(name, (), {})
        assert bool(found.lines) == (name in ("goft", "lora"))
        assert found.verdicts == ()
        assert all(line.reason in ("nothing measured", "its method is none of ours") for line in found.lines)
    means = {name: len(report(name, (), {}).averages) for name in PAPERS}
    assert means == {"random_masking": 11, "fish": 3, "pst": 0, "goft": 21, "lora": 18}
    assert report("random_masking", (), {}).left_out == report("pst", (), {}).left_out == ()
    with pytest.raises(UnknownName, match="unknown paper 'gotf'; did you mean goft"):
        report("gotf", (), {})
