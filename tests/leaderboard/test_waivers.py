"""Waivers: read strictly, used for what they name, and red once they expire."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.gate import Check, Outcome, Report
from leaderboard.waivers import Waiver, read_waivers, waive

TODAY = date(2026, 6, 1)
RED = Check("small: tiny, held_out", "glue/rte, lora rank [8], linear", Outcome.FAIL, "worse")
GREEN = Check("small: tiny, held_out", "glue/sst2, lora, linear", Outcome.PASS)


def waiver(**facts: object) -> Waiver:
    entry = {"cell": "small: *; glue/rte, lora*", "reason": "known", "owner": "ada", "expires": TODAY}
    return Waiver.model_validate({**entry, **facts})


def test_a_waiver_in_force_turns_its_cell_and_no_other(tmp_path: Path) -> None:
    other = Check(RED.group, "glue/rte, fish, linear", Outcome.FAIL, "worse")
    found, unused = waive([RED, other, GREEN], [waiver()], TODAY)
    assert [check.waived for check in found] == ["known; ada, until 2026-06-01", None, None]
    assert unused == []
    assert Report("compare", tuple(found)).outcome is Outcome.FAIL
    assert Report("compare", (found[0], found[2])).outcome is Outcome.PASS


def test_a_waiver_covers_the_outcome_it_names_only() -> None:
    gone = Check(RED.group, RED.name, Outcome.NO_DATA, "missing")
    assert waive([gone], [waiver()], TODAY)[0][0].waived is None
    assert waive([gone], [waiver(outcome="no data")], TODAY)[0][0].waived


def test_an_expired_waiver_fails_even_where_nothing_needs_it() -> None:
    found, unused = waive([GREEN], [waiver(expires=TODAY - timedelta(days=3))], TODAY)
    assert Report("compare", tuple(found)).outcome is Outcome.FAIL
    assert found[1].detail == "expired 2026-05-29, 3 days ago: ada said 'known'; mend it, or renew it"
    assert unused == []


def test_an_unused_waiver_is_named() -> None:
    found, unused = waive([GREEN], [waiver()], TODAY)
    assert found == [GREEN]
    assert unused == ["unused waiver: small: *; glue/rte, lora* (ada)"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_only_a_star_is_special_in_a_pattern(group: str, name: str) -> None:
    check = Check(group, name, Outcome.FAIL)
    literal = f"{group}; {name}"
    assert Waiver.model_construct(cell=literal, outcome="fail").covers(check)
    assert Waiver.model_construct(cell="*", outcome="fail").covers(check)
    assert not Waiver.model_construct(cell=literal + "?", outcome="fail").covers(check) or "*" in literal


def test_a_file_is_read_and_an_empty_one_has_none(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text("- {cell: 'a; b', reason: slow, owner: ada, expires: 2026-12-31}\n")
    (found,) = read_waivers(path)
    assert (found.outcome, found.expires) == ("fail", date(2026, 12, 31))
    path.write_text("# none\n")
    assert read_waivers(path) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {cell: a, reason: r, owner: o}", "entry 1, expires: Field required"),
        ("- {cell: a, reason: '', owner: o, expires: 2026-01-01}", "entry 1, reason"),
        ("- {cell: a, reason: r, owner: o, expires: soon}", "entry 1, expires: a day such as 2026-12-31; 'soon' came"),
        ("- {cell: a, reasons: r, owner: o, expires: 2026-01-01}", "reason"),
        ("- {cell: a, reason: r, owner: o, expires: 2026-01-01, outcome: pass}", "entry 1, outcome"),
        ("cell: a", "must be a list of entries"),
        ("- [", "are not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_waivers(path)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_waivers(tmp_path / "none.yaml")
