"""From folders to a report: what keeps a comparison from passing, and how it reads."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.errors import MissingPrerequisite, UserError
from harness.gate import Outcome
from leaderboard.comparison import Asked, compare_records
from leaderboard.releases import freeze
from leaderboard.waivers import Waiver
from tests.leaderboard.making import Judged, Made
from tests.leaderboard.regressing import compared, details, write


def test_an_empty_folder_is_no_data_and_nothing_waives_it(tmp_path: Path) -> None:
    base, empty = write(tmp_path / "base"), tmp_path / "empty"
    empty.mkdir()
    everything = Waiver(cell="*", outcome="no data", reason="all", owner="ada", expires=date(2026, 1, 1))
    for one, other, which in ((base, empty, "the new records"), (empty, base, "the baseline")):
        found = compared(one, other, waivers=[everything], today=date(2026, 1, 1))
        assert found.report.outcome.code == 4
        assert "there is no record" in details(found)[which]


def test_waiving_every_cell_does_not_make_nothing_pass(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1, seeds=[0])
    everything = Waiver(cell="*", outcome="no data", reason="all", owner="ada", expires=date(2026, 1, 1))
    found = compared(base, new, waivers=[everything], today=date(2026, 1, 1))
    assert details(found)["cells"] == "no data: no cell could be compared"
    assert found.report.outcome is Outcome.NO_DATA


def test_a_waived_failure_passes_until_it_expires(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base", 0.9), write(tmp_path / "new", 0.3, trained=1)
    known = Waiver(cell="small: *; glue/sst2, lora*", reason="known", owner="ada", expires=date(2026, 1, 1))
    assert compared(base, new, waivers=[known], today=date(2026, 1, 1)).report.outcome is Outcome.PASS
    assert compared(base, new, waivers=[known], today=date(2026, 1, 2)).report.outcome is Outcome.FAIL
    same = compared(base, write(tmp_path / "same", 0.9), waivers=[known], today=date(2026, 1, 1))
    assert same.report.notes == ("unused waiver: small: *; glue/sst2, lora* (ada)",)


def test_a_file_that_cannot_be_read_blocks_a_pass_by_name(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new")
    assert compared(base, new).report.outcome is Outcome.PASS
    broken = Made(seed=7, status="failed").write(new) / "record.json"
    broken.write_text("{")
    found = compared(base, new)
    assert found.report.outcome is Outcome.NO_DATA
    assert f"{broken.parent.parent.name}/001/record.json" in details(found)["the new records"]


def test_edited_items_are_no_data_and_named(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1)
    items = next(new.rglob("items.parquet"))
    items.write_bytes(items.read_bytes() + b" ")
    found = compared(base, new)
    assert found.report.outcome is Outcome.NO_DATA
    assert "001/items.parquet: not the items of a run" in details(found)["items"]
    assert details(found)["glue/sst2, lora, linear"] == "no data: its items cannot be read in the new records"


def test_staleness_is_judged_of_new_folders_and_not_of_releases_or_the_baseline(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new")
    judge = Judged(dict.fromkeys([Made(seed=seed).run_id for seed in range(3)], "its code changed"))
    assert compare_records(Asked(base, new), judge).report.outcome is Outcome.NO_DATA
    release = freeze([new], tmp_path / "releases", "r1").folder
    assert compare_records(Asked(base, release), judge).report.outcome is Outcome.PASS
    assert compare_records(Asked(release, base), judge).report.outcome is Outcome.NO_DATA


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    with pytest.raises(MissingPrerequisite, match="there is no folder"):
        compared(base, tmp_path / "none")
    with pytest.raises(UserError, match="both sides are"):
        compared(base, tmp_path / "x" / ".." / "base")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "release.json").write_text("{}")
    with pytest.raises(UserError, match="not a release"):
        compared(base, tmp_path / "new")


def test_people_read_every_cell_with_what_it_would_see_worst_first(tmp_path: Path) -> None:
    base, new = tmp_path / "base", tmp_path / "new"
    for number, (method, chance) in enumerate({"bitfit": 0.99, "lora": 0.3}.items()):
        write(base, method=method)
        write(
            new,
            chance,
            trained=number + 1,
            method=method,
            environment={"torch": "2.14.0", "device": "cpu", "threads": 1},
        )
    write(base, method="fish")
    found = compared(base, new)
    lines = list(found.lines())
    assert [line.split("  ")[0] for line in lines[1:4]] == ["fail", "no data", "pass"]
    assert "missing: only the baseline has it" in lines[2]
    for line, verdict in zip(lines[1:4], found.verdicts, strict=True):
        assert line.endswith(f"{verdict.match.either.group}; {verdict.match.either.name}")
        assert verdict.numbers is None or f"{verdict.numbers.seen_from:8.2f}" in line
    assert lines[4].startswith("cells decided, 5 % for all of them together: 2; ")
    assert lines[5] == "mixed environment, baseline and new records differ in: torch"
    assert lines[-1] == "compare: FAIL (1 fail, 1 no data, 1 pass)"


def test_attempts_without_a_record_are_counted(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new")
    (new / "abc" / "001").mkdir(parents=True)
    (new / "abc" / "001" / "started.json").write_text("{}")
    assert compared(base, new).report.notes == ("attempts of the new records without a record yet: 1",)
