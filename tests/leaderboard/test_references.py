"""References: which entries others are set against."""

from __future__ import annotations

from pathlib import Path

from leaderboard.load import load_records
from leaderboard.references import Field
from leaderboard.site import Site
from tests.leaderboard.making import TOTAL, Made, answers


def field(folder: Path, *made: Made) -> Field:
    for one in made:
        one.items = one.items or {"glue/sst2": answers(50, one.trained % 7 + 3, one.seed)}
        one.write(folder)
    (section,) = Site.of(load_records([folder]), {}).sections
    return Field(section)


def test_the_nearest_of_the_usual_method_and_what_trains_all_are_references_of_all_but_themselves(
    tmp_path: Path,
) -> None:
    made = [Made("bitfit", trained=900), Made("full", trained=TOTAL), Made("base", trained=0)]
    made += [Made("lora", {"rank": rank}, trained=1000 * rank) for rank in (1, 8, 64)]
    found = field(tmp_path, *made)
    rows = {found.names[row]: row for row in found.section.rows}
    against = {name: [found.names[one.row] for one in found.against(row, "glue/sst2")] for name, row in rows.items()}
    assert against == {
        "base": ["full", "lora rank 1"],
        "bitfit": ["full", "lora rank 1"],
        "lora rank 1": ["full", "lora rank 8"],
        "lora rank 8": ["full", "lora rank 1"],
        "lora rank 64": ["full", "lora rank 8"],
        "full": ["lora rank 64"],
    }
    (whole, usual) = found.against(rows["bitfit"], "glue/sst2")
    assert (whole.why, usual.why) == ("trains all of N", "lora nearest in trained parameters")


def test_without_both_the_best_mean_is_the_reference(tmp_path: Path) -> None:
    made = [
        Made(method, seed=seed, trained=trained, items={"glue/sst2": answers(50, wrong, seed)})
        for method, trained, wrong in (("bitfit", 10, 20), ("goft", 20, 5), ("pst", 30, 10))
        for seed in range(2)
    ]
    found = field(tmp_path, *made)
    rows = {row.method: row for row in found.section.rows}
    ((best, why),) = found.against(rows["pst"], "glue/sst2")
    assert (best.method, why) == ("goft", "best mean here")
    assert found.against(rows["goft"], "glue/sst2") == []


def test_what_has_no_size_is_set_against_nothing(tmp_path: Path) -> None:
    found = field(tmp_path, Made("full", trained=TOTAL), Made("goft", status="lost"))
    (row,) = (row for row in found.section.rows if row.method == "goft")
    assert found.against(row, "glue/sst2") == []
