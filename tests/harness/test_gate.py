"""Claims about reports: which outcome wins, which exit code it has, and that every form says the same."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UnwritableFolder
from harness.gate import SHOWN, Check, Outcome, Report, deliver

ODD = "a|b <b>&*_x_* `c` \x00\x1b[1m\ud800 \N{SNOWMAN}\nnext"


def check(outcome: Outcome = Outcome.PASS, name: str = "one", **more: object) -> Check:
    return Check("group", name, outcome, **more)  # type: ignore[arg-type]


def report(*checks: Check, notes: tuple[str, ...] = ()) -> Report:
    return Report("gate", checks, notes)


def test_each_outcome_has_its_exit_code() -> None:
    assert {outcome.value: outcome.code for outcome in Outcome} == {
        "pass": 0,
        "fail": 1,
        "inconclusive": 3,
        "no data": 4,
    }


def test_a_report_of_nothing_has_no_data() -> None:
    assert report().outcome is Outcome.NO_DATA
    assert report(check(Outcome.NO_DATA, blocks=False)).outcome is Outcome.NO_DATA


def test_fail_wins_over_no_data_over_inconclusive_over_pass() -> None:
    order = [Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS]
    for place, winner in enumerate(order):
        assert report(*(check(outcome) for outcome in reversed(order[place:]))).outcome is winner


def test_what_is_waived_or_was_not_promised_does_not_keep_a_report_from_passing() -> None:
    passed = check()
    assert report(passed, check(Outcome.FAIL, waived="known, by A, until B")).outcome is Outcome.PASS
    assert report(passed, check(Outcome.NO_DATA, blocks=False)).outcome is Outcome.PASS
    assert report(passed, check(Outcome.FAIL, blocks=False)).outcome is Outcome.FAIL


def test_the_text_names_what_did_not_pass_and_why_and_ends_with_the_outcome() -> None:
    lines = report(check(), check(Outcome.FAIL, "two", detail="3 came"), notes=("seen: 0.1",)).text().splitlines()
    assert lines == [
        "group: 1 pass, 1 fail",
        "  FAIL           two: 3 came",
        "seen: 0.1",
        "gate: FAIL (1 pass, 1 fail)",
    ]
    waived = report(check(Outcome.FAIL, "two", detail="3 came", waived="known")).text()
    assert "WAIVED         two: 3 came (waived: known)" in waived


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans(), st.sampled_from([None, "why"])), max_size=6))
def test_every_form_says_the_same(drawn: list[tuple[Outcome, bool, str | None]]) -> None:
    checks = [
        Check(f"g{i % 2}", f"{ODD}{i}", outcome, ODD, {"n": i}, waived, blocks)
        for i, (outcome, blocks, waived) in enumerate(drawn)
    ]
    of = report(*checks, notes=(ODD,))
    found = json.loads(of.json())
    assert (found["outcome"], found["exit_code"]) == (of.outcome.value, of.outcome.code)
    assert [one["outcome"] for one in found["checks"]] == [one.outcome.value for one in checks]
    assert f"gate: {of.outcome.value.upper()} (" in of.text()
    assert of.markdown().startswith(f"### gate: {of.outcome.value}\n")
    assert "<b>" not in of.markdown()
    assert all(text.encode("utf-8").find(b"\x1b") < 0 for text in (of.text(), of.json(), of.junit(), of.markdown()))
    root = ElementTree.fromstring(of.junit().encode("utf-8"))
    assert len(root.findall(".//testcase")) == len(checks) == int(root.attrib["tests"])
    for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert len(root.findall(f".//{kind}")) == int(root.attrib[count])
    failed = [one for one in checks if one.outcome is Outcome.FAIL and one.waived is None]
    assert len(root.findall(".//failure")) == len(failed)


def test_a_comment_stays_short_and_says_how_much_it_left_out() -> None:
    text = report(*(check(Outcome.FAIL, f"c{i}") for i in range(SHOWN + 7))).markdown()
    assert text.count("| fail |") == SHOWN
    assert "and 7 more" in text


def test_deliver_writes_the_files_and_ends_with_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of = report(check(Outcome.INCONCLUSIVE))
    with pytest.raises(typer.Exit) as ended:
        deliver(of, as_json=False, junit=tmp_path / "j.xml", markdown=tmp_path / "m.md")
    assert ended.value.exit_code == 3
    assert capsys.readouterr().out.strip() == of.text()
    assert (tmp_path / "j.xml").read_text() == of.junit()
    assert (tmp_path / "m.md").read_text() == of.markdown()
    with pytest.raises(UnwritableFolder, match="--junit"):
        deliver(of, as_json=False, junit=tmp_path / "none" / "j.xml")
